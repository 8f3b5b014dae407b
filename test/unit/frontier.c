/*-------------------------------------------------------------------------
 *
 * frontier.c
 *	  What a frontier has consumed, and its serialized form.
 *
 * IDENTIFICATION
 *	  test/unit/frontier.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "pgtrickle/types.h"
#include "unit.h"

static uint64 running[] = {105, 107, UINT64CONST(0x100000003)};

static void
check_equal(const Frontier *a, const Frontier *b)
{
	UNIT_CHECK(strcmp(pgt_frontier_to_text(a), pgt_frontier_to_text(b)) == 0);
	UNIT_CHECK(a->own_xid == b->own_xid && a->own_seq == b->own_seq);
	for (int i = 0; i < a->nsources; i++)
		UNIT_CHECK(memcmp(&a->sources[i].seg, &b->sources[i].seg,
						  sizeof(a->sources[i].seg)) == 0);
}

UNIT_TEST(frontier)
{
	Frontier	f = {0};
	Frontier   *copy;
	bytea	   *bytes;

	/* a snapshot, across a wrap-around of 32-bit ids */
	f.xmin = 105;
	f.xmax = UINT64CONST(0x100000010);
	f.nxip = lengthof(running);
	f.xip = running;
	UNIT_CHECK(pgt_frontier_has_consumed(&f, 2, 1));
	UNIT_CHECK(pgt_frontier_has_consumed(&f, 104, 1));
	UNIT_CHECK(!pgt_frontier_has_consumed(&f, 105, 1));
	UNIT_CHECK(pgt_frontier_has_consumed(&f, 106, 1));
	UNIT_CHECK(!pgt_frontier_has_consumed(&f, 107, 1));
	UNIT_CHECK(pgt_frontier_has_consumed(&f, UINT64CONST(0x100000002), 1));
	UNIT_CHECK(!pgt_frontier_has_consumed(&f, UINT64CONST(0x100000003), 1));
	UNIT_CHECK(pgt_frontier_has_consumed(&f, UINT64CONST(0x10000000f), 1));
	UNIT_CHECK(!pgt_frontier_has_consumed(&f, f.xmax, 1));

	/* the own transaction is told apart by its statements alone */
	f.own_xid = UINT64CONST(0x100000020);
	f.own_seq = 3;
	UNIT_CHECK(pgt_frontier_has_consumed(&f, f.own_xid, 3));
	UNIT_CHECK(!pgt_frontier_has_consumed(&f, f.own_xid, 4));
	f.own_xid = 106;
	UNIT_CHECK(pgt_frontier_has_consumed(&f, 106, 3));
	UNIT_CHECK(!pgt_frontier_has_consumed(&f, 106, 4));

	/* copies */
	f.nsources = 2;
	f.sources = palloc0(2 * sizeof(SourcePosition));
	f.sources[0].relid = 16384;
	f.sources[1].relid = 16400;
	f.sources[1].seg[1].filenode = 17000;
	f.sources[1].seg[1].start = (BlockMark) {12, UINT64CONST(0x100000001), -7};
	f.sources[1].seg[1].pending = (BlockMark) {14, UINT64CONST(0x100000002), 8};
	f.sources[1].seg[1].pending_xid = UINT64CONST(0x100000003);
	UNIT_CHECK(pgt_frontier_position(&f, 16400)->seg[1].start.block == 12);
	UNIT_CHECK(pgt_frontier_position(&f, 16401) == NULL);
	copy = pgt_frontier_copy(&f);
	check_equal(&f, copy);
	bytes = pgt_frontier_serialize(&f);
	check_equal(&f, pgt_frontier_deserialize(bytes));
	UNIT_CHECK(strcmp(pgt_frontier_to_text(&f),
					  "105:4294967312:105,107,4294967299 own=106/3"
					  " 16384=0+0 16400=0+12") == 0);

	/* nothing in it */
	memset(&f, 0, sizeof(f));
	check_equal(&f, pgt_frontier_deserialize(pgt_frontier_serialize(&f)));
	UNIT_CHECK(!pgt_frontier_has_consumed(&f, 3, 1));

	/* cut off, and of another kind */
	UNIT_CHECK_ERROR(pgt_frontier_deserialize((bytea *) cstring_to_text("x")),
					 ERRCODE_DATA_CORRUPTED);
	SET_VARSIZE(bytes, VARSIZE(bytes) - 1);
	UNIT_CHECK_ERROR(pgt_frontier_deserialize(bytes), ERRCODE_DATA_CORRUPTED);
}
