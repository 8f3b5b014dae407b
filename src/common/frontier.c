/*-------------------------------------------------------------------------
 *
 * frontier.c
 *	  Frontier: the set of changes that a stream table has consumed.
 *
 * The set is that of a snapshot, told apart by top-level transaction, with one
 * exception: the transaction that made the refresh is "in progress" for its
 * own snapshot although its changes up to own_seq were seen.  It is decided
 * first, by its statement counter: the own xid is never listed in xip, and may
 * be below xmax.
 *
 * Serialized form (the value of pgt_refresh_state.frontier): fixed-width
 * fields one after the other in the server's byte order, without padding,
 * after a version byte.  It never leaves the cluster: restored stream tables
 * start without a frontier.
 *
 * IDENTIFICATION
 *	  src/common/frontier.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/types.h"

#define FRONTIER_VERSION 2

/*
 * Has the change been consumed?  seq is the magnitude of the statement
 * counter.  Aborted transactions count as consumed; nobody sees their rows.
 */
bool
pgt_frontier_has_consumed(const Frontier *f, uint64 xid, int32 seq)
{
	int			low = 0;
	int			high = f->nxip;

	if (xid == f->own_xid && xid != 0)
		return seq <= f->own_seq;
	if (xid < f->xmin)
		return true;
	if (xid >= f->xmax)
		return false;
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (f->xip[middle] == xid)
			return false;
		if (f->xip[middle] < xid)
			low = middle + 1;
		else
			high = middle;
	}
	return true;
}

Frontier *
pgt_frontier_copy(const Frontier *f)
{
	Frontier   *copy = palloc(sizeof(Frontier));

	*copy = *f;
	copy->xip = NULL;
	copy->sources = NULL;
	if (f->nxip > 0)
	{
		copy->xip = palloc(f->nxip * sizeof(uint64));
		memcpy(copy->xip, f->xip, f->nxip * sizeof(uint64));
	}
	if (f->nsources > 0)
	{
		copy->sources = palloc(f->nsources * sizeof(SourcePosition));
		memcpy(copy->sources, f->sources, f->nsources * sizeof(SourcePosition));
	}
	return copy;
}

/* The positions in one source's buffer; NULL: none are known, start at 0. */
SourcePosition *
pgt_frontier_position(Frontier *f, Oid relid)
{
	for (int i = 0; i < f->nsources; i++)
		if (f->sources[i].relid == relid)
			return &f->sources[i];
	return NULL;
}

/* ---- serialized form ---- */

static void
put(StringInfo buf, const void *value, Size len)
{
	appendBinaryStringInfo(buf, value, (int) len);
}

#define PUT(buf, lvalue) put(buf, &(lvalue), sizeof(lvalue))

static void
put_mark(StringInfo buf, const BlockMark *mark)
{
	PUT(buf, mark->block);
	PUT(buf, mark->xid);
	PUT(buf, mark->s);
}

bytea *
pgt_frontier_serialize(const Frontier *f)
{
	StringInfoData buf;
	char		version = FRONTIER_VERSION;

	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	PUT(&buf, version);
	PUT(&buf, f->xmin);
	PUT(&buf, f->xmax);
	PUT(&buf, f->own_xid);
	PUT(&buf, f->own_seq);
	PUT(&buf, f->nxip);
	PUT(&buf, f->nsources);
	if (f->nxip > 0)
		put(&buf, f->xip, f->nxip * sizeof(uint64));
	for (int i = 0; i < f->nsources; i++)
	{
		const SourcePosition *source = &f->sources[i];

		PUT(&buf, source->relid);
		for (int s = 0; s < PGT_SEGMENTS; s++)
		{
			PUT(&buf, source->seg[s].filenode);
			put_mark(&buf, &source->seg[s].start);
			put_mark(&buf, &source->seg[s].pending);
			PUT(&buf, source->seg[s].pending_xid);
		}
	}
	SET_VARSIZE(buf.data, buf.len);
	return (bytea *) buf.data;
}

typedef struct FrontierReader
{
	const char *at;
	const char *end;
} FrontierReader;

static void
get(FrontierReader *reader, void *value, Size len)
{
	if (reader->end - reader->at < len)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("malformed frontier of a stream table")));
	memcpy(value, reader->at, len);
	reader->at += len;
}

#define GET(reader, lvalue) get(reader, &(lvalue), sizeof(lvalue))

static void
get_mark(FrontierReader *reader, BlockMark *mark)
{
	GET(reader, mark->block);
	GET(reader, mark->xid);
	GET(reader, mark->s);
}

Frontier *
pgt_frontier_deserialize(const bytea *b)
{
	Frontier   *f = palloc0(sizeof(Frontier));
	FrontierReader reader;
	char		version;

	reader.at = VARDATA_ANY(b);
	reader.end = reader.at + VARSIZE_ANY_EXHDR(b);
	GET(&reader, version);
	GET(&reader, f->xmin);
	GET(&reader, f->xmax);
	GET(&reader, f->own_xid);
	GET(&reader, f->own_seq);
	GET(&reader, f->nxip);
	GET(&reader, f->nsources);
	if (version != FRONTIER_VERSION || f->nxip < 0 || f->nsources < 0 ||
		f->nxip > (reader.end - reader.at) / (int64) sizeof(uint64) ||
		f->nsources > reader.end - reader.at)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("malformed frontier of a stream table")));
	if (f->nxip > 0)
	{
		f->xip = palloc(f->nxip * sizeof(uint64));
		get(&reader, f->xip, f->nxip * sizeof(uint64));
	}
	if (f->nsources > 0)
		f->sources = palloc0(f->nsources * sizeof(SourcePosition));
	for (int i = 0; i < f->nsources; i++)
	{
		SourcePosition *source = &f->sources[i];

		GET(&reader, source->relid);
		for (int s = 0; s < PGT_SEGMENTS; s++)
		{
			GET(&reader, source->seg[s].filenode);
			get_mark(&reader, &source->seg[s].start);
			get_mark(&reader, &source->seg[s].pending);
			GET(&reader, source->seg[s].pending_xid);
		}
	}
	return f;
}

/*
 * For explain_st: the snapshot as pg_snapshot prints it, then the own
 * transaction and the positions, "xmin:xmax:xip,... own=xid/seq oid=block+block".
 */
char *
pgt_frontier_to_text(const Frontier *f)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, UINT64_FORMAT ":" UINT64_FORMAT ":", f->xmin, f->xmax);
	for (int i = 0; i < f->nxip; i++)
		appendStringInfo(&buf, "%s" UINT64_FORMAT, i > 0 ? "," : "", f->xip[i]);
	if (f->own_xid != 0)
		appendStringInfo(&buf, " own=" UINT64_FORMAT "/%d", f->own_xid, f->own_seq);
	for (int i = 0; i < f->nsources; i++)
	{
		const SourcePosition *source = &f->sources[i];

		appendStringInfo(&buf, " %u=", source->relid);
		for (int s = 0; s < PGT_SEGMENTS; s++)
			appendStringInfo(&buf, "%s%u", s > 0 ? "+" : "", source->seg[s].start.block);
	}
	return buf.data;
}
