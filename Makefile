# pg_trickle: incremental view maintenance for PostgreSQL
#
#   make, make install       build and install for the server of PG_CONFIG
#   make test, make demo     need no installed server; see "make help"
#
# Source files, install script parts and tests are found by wildcards: adding
# a file edits no list.

EXTENSION = pg_trickle
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" pg_trickle.control)

# What the caller gave is for "make test" and its like; below come our values.
given_pg_config := $(PG_CONFIG)
given_regress := $(REGRESS)
given_isolation := $(ISOLATION)
PG_CONFIG ?= pg_config

MODULE_big = pg_trickle
SOURCES := $(sort $(wildcard src/*.c src/*/*.c))
OBJS = $(SOURCES:.c=.o)

INSTALL_SCRIPT_PARTS := $(sort $(wildcard sql/*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql
DATA = $(sort $(wildcard sql/upgrade/*.sql))

# Tests against a running server: "make installcheck". "make test" runs these
# and the unit tests in its own throw-away cluster.
REGRESS = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --load-extension=pg_trickle
ISOLATION = $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --load-extension=pg_trickle
ifneq ($(wildcard test/t/*.pl),)
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl
PROVE_FLAGS += -I test/perl
endif

# PostgreSQL's own headers and calling conventions trip over these three.
PG_CPPFLAGS = -I$(srcdir)/src/include
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -MMD -MP
ifeq ($(WERROR),1)
PG_CFLAGS += -Werror
endif

# Objects go by their own dependency files: PostgreSQL's would collide for
# files of the same name in two folders. Bitcode for JIT would need clang.
override autodepend =
ifneq ($(origin with_llvm),command line)
override with_llvm = no
endif

UNIT_SOURCES := $(sort $(wildcard test/unit/*.c))
UNIT_OBJS = $(UNIT_SOURCES:.c=.o)
UNIT_LIB = pg_trickle_unit.so

EXTRA_CLEAN = $(OBJS:.o=.d) $(UNIT_OBJS) $(UNIT_OBJS:.o=.d) $(UNIT_LIB) .build-id \
	output_iso tmp_check

.DEFAULT_GOAL := all

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
else
all install uninstall clean installcheck unit:
	@echo "No PostgreSQL development files found by \"$(PG_CONFIG) --pgxs\"." >&2
	@echo "Give the server's own pg_config: make $@ PG_CONFIG=/path/to/pg_config" >&2
	@exit 1
endif

-include $(OBJS:.o=.d) $(UNIT_OBJS:.o=.d)

# Depends on the folder too, so that a removed part is noticed.
$(EXTENSION)--$(EXTVERSION).sql: $(INSTALL_SCRIPT_PARTS) sql
	cat $(INSTALL_SCRIPT_PARTS) > $@.tmp
	mv $@.tmp $@

# Another server or other flags rebuild everything.
$(OBJS) $(UNIT_OBJS): .build-id
.build-id: FORCE
	@id='$(VERSION) $(realpath $(includedir_server)) $(CC) $(CFLAGS)'; \
	test -f $@ && echo "$$id" | cmp -s - $@ || echo "$$id" > $@
FORCE:

# Unit tests are a library of their own that a backend loads: the extension's
# objects without _PG_init, and the tests (see test/unit/unit.h).
unit: $(UNIT_LIB)
$(UNIT_LIB): $(UNIT_OBJS) $(filter-out src/pg_trickle.o,$(OBJS))
	$(CC) $(CFLAGS) $^ $(LDFLAGS) $(LDFLAGS_SL) -shared -Wl,-Bsymbolic -o $@

# ---------------------------------------------------------------------------
# Targets for developers. The scripts say what they do and what they take.
# ---------------------------------------------------------------------------
PG ?= 15
CLUSTER = start
SCRIPT_ENV = PG='$(PG)' PG_CONFIG='$(given_pg_config)'

test:
	@exec env $(SCRIPT_ENV) WERROR='$(WERROR)' TESTS='$(TESTS)' \
		REGRESS='$(given_regress)' ISOLATION='$(given_isolation)' \
		TAP='$(TAP)' TAP_JOBS='$(TAP_JOBS)' UNIT='$(UNIT)' \
		ACCEPT='$(ACCEPT)' KEEP='$(KEEP)' \
		EXTRA_CONF='$(EXTRA_CONF)' TEST_TIMEOUT='$(TEST_TIMEOUT)' tools/test.sh

demo:
	@exec env $(SCRIPT_ENV) demo/run.sh

bench:
	@exec env $(SCRIPT_ENV) bench/run.sh

bench-dag:
	@exec env $(SCRIPT_ENV) bench/dag.sh

cluster:
	@exec env $(SCRIPT_ENV) tools/cluster.sh $(CLUSTER)

postgres-%:
	@tools/postgres.sh $*

help:
	@sed -n 's/^#| \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

.PHONY: all test demo bench bench-dag cluster help unit FORCE

#| make                     build for the server of PG_CONFIG (default: pg_config in PATH)
#| make install             install into that server
#| make installcheck        regression, isolation and TAP tests against it, running
#|
#| make test                every kind of test in a throw-away cluster
#|     PG=15                the server: 15 (Debian's package), 17, 18 or 18-assert (built once)
#|     PG_CONFIG=...        or any other server from 15 to 18
#|     WERROR=1             warnings are errors
#|     TESTS="regress isolation tap unit"   only these kinds
#|     REGRESS="a b" ISOLATION="c" TAP="010_x" UNIT="d"   only these tests
#|     ACCEPT=1             take failed tests' output as the expected one
#| make demo                stream tables over a live server; PG= or PG_CONFIG= as above
#| make bench               time refreshes and writes; PG= or PG_CONFIG= as above
#| make bench-dag           time the scheduler; PG= or PG_CONFIG= as above
#| make cluster             a server to play with (PG=, NAME=); then tools/cluster.sh psql
#| make postgres-18         fetch and build a server into the cache: 17, 18, 18-assert
#| make clean               remove what make built here; build/ is the scripts' own
