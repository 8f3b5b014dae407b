# Oracle::Server: runs case groups through one psql session.
package Oracle::Server;

use strict;
use warnings;
use IO::Select;
use IPC::Open2;
use Time::HiRes qw(sleep time);

# conn => [psql options], dir => folder for scripts
sub new
{
	my ($class, %args) = @_;
	my $self = bless {
		psql => $args{psql} // 'psql', conn => $args{conn}, dir => $args{dir}, serial => 0,
		timeout => $args{timeout} // 240
	}, $class;
	return $self;
}

sub connect
{
	my ($self) = @_;
	local $ENV{PGOPTIONS} =
		'-c client_min_messages=warning -c lock_timeout=100 -c statement_timeout=20000'
	  . ' -c TimeZone=UTC -c DateStyle=ISO,MDY -c synchronous_commit=off -c jit=off'
	  . ' -c extra_float_digits=1';

	for my $try (1 .. 400)
	{
		my @cmd = ($self->{psql}, '-XqAt', '-v', 'VERBOSITY=verbose', @{ $self->{conn} });
		my $sh = 'exec "$@" 2>&1';
		$self->{pid} = open2($self->{out}, $self->{in}, 'sh', '-c', $sh, 'sh', @cmd);
		$self->{buffer} = '';
		$self->{in}->autoflush(1);
		print { $self->{in} } "SELECT 'connected';\n";
		my $line = $self->read_until(qr/^(connected|psql: error.*)$/m, 30);
		return if $line =~ /^connected/m;
		$self->close;
		sleep 0.3;
	}
	die "cannot connect to the server\n";
}

sub close
{
	my ($self) = @_;
	return unless $self->{pid};
	local $SIG{PIPE} = 'IGNORE';
	close $self->{in};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	close $self->{out};
	$self->{pid} = undef;
	return;
}

# All output up to a pattern; at end of file or timeout what there was.
sub read_until
{
	my ($self, $re, $timeout) = @_;
	my $select = IO::Select->new($self->{out});
	my $end = time + $timeout;

	$self->{eof} = $self->{hang} = 0;
	while ($self->{buffer} !~ $re)
	{
		my $left = $end - time;
		if ($left <= 0 || !$select->can_read($left))
		{
			$self->{hang} = 1;
			last;
		}
		my $n = sysread $self->{out}, my $chunk, 65536;
		if (!$n)
		{
			$self->{eof} = 1;
			last;
		}
		$self->{buffer} .= $chunk;
	}
	my $text = $self->{buffer};
	$self->{buffer} = '';
	return $text;
}

# Runs a script text and returns its output. Reconnects after a crash.
sub run
{
	my ($self, $sql) = @_;
	my $file = "$self->{dir}/group.$$.sql";
	my $mark = 'end-of-script-' . ++$self->{serial};
	local $SIG{PIPE} = 'IGNORE';

	$self->connect unless $self->{pid};
	open my $fh, '>', $file or die "$file: $!\n";
	print $fh $sql;
	CORE::close $fh;
	print { $self->{in} } "\\i $file\n\\echo $mark\n";
	my $out = $self->read_until(qr/^\Q$mark\E$/m, $self->{timeout});
	unlink $file;
	$out .= "\nHANG: no answer within $self->{timeout} s\n" if $self->{hang};
	$out .= "\nCRASH: session lost\n"
	  if $self->{eof} || $out =~ /server closed the connection|connection to server was lost/;
	if ($out =~ /^(HANG|CRASH)/m)
	{
		$self->close;
		$self->{dirty} = 1;
	}
	$out =~ s/^\Q$mark\E$//m;
	return $out;
}

1;
