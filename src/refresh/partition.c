/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  Keys of the partitions to recompute, and receivers for partition stages.
 *
 * IDENTIFICATION
 *	  src/refresh/partition.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "refresh_internal.h"

typedef struct KeysReceiver
{
	DestReceiver pub;
	PartitionKeys *keys;
} KeysReceiver;

typedef struct RowReceiver
{
	DestReceiver pub;
	void		(*put) (void *arg, Datum *values, bool *isnull);
	void	   *arg;
} RowReceiver;

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receiver_nothing(DestReceiver *self)
{
}

static void
init_receiver(DestReceiver *r, bool (*receive) (TupleTableSlot *, DestReceiver *))
{
	r->receiveSlot = receive;
	r->rStartup = receiver_startup;
	r->rShutdown = receiver_nothing;
	r->rDestroy = receiver_nothing;
	r->mydest = DestNone;
}

/* ---- keys ---- */

PartitionKeys *
pgt_refresh_partition_keys_begin(const PartitionTarget *target)
{
	PartitionKeys *keys = (PartitionKeys *) palloc0(sizeof(PartitionKeys));
	Relation	rel = table_open(target->relid, AccessShareLock);

	keys->desc = CreateTemplateTupleDesc(target->nkeys);
	for (int i = 0; i < target->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), target->keys[i] - 1);
		char		name[NAMEDATALEN];

		snprintf(name, sizeof(name), "k%d", i + 1);
		TupleDescInitEntry(keys->desc, i + 1, name, att->atttypid, att->atttypmod, 0);
		TupleDescInitEntryCollation(keys->desc, i + 1, att->attcollation);
	}
	table_close(rel, NoLock);
	keys->store = tuplestore_begin_heap(false, false, work_mem);
	return keys;
}

static bool
keys_receive(TupleTableSlot *slot, DestReceiver *self)
{
	PartitionKeys *keys = ((KeysReceiver *) self)->keys;

	slot_getallattrs(slot);
	for (int i = 0; i < keys->desc->natts; i++)
		keys->has_null |= slot->tts_isnull[i];
	tuplestore_putvalues(keys->store, keys->desc, slot->tts_values, slot->tts_isnull);
	keys->count++;
	return true;
}

DestReceiver *
pgt_refresh_partition_keys_receiver(PartitionKeys *keys)
{
	KeysReceiver *r = (KeysReceiver *) palloc0(sizeof(KeysReceiver));

	init_receiver(&r->pub, keys_receive);
	r->keys = keys;
	return &r->pub;
}

void
pgt_refresh_partition_keys_end(PartitionKeys *keys)
{
	tuplestore_end(keys->store);
	pfree(keys);
}

/* ---- rows ---- */

static bool
row_receive(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *r = (RowReceiver *) self;

	slot_getallattrs(slot);
	r->put(r->arg, slot->tts_values, slot->tts_isnull);
	return true;
}

DestReceiver *
pgt_refresh_row_receiver(void (*put) (void *arg, Datum *values, bool *isnull), void *arg)
{
	RowReceiver *r = (RowReceiver *) palloc0(sizeof(RowReceiver));

	init_receiver(&r->pub, row_receive);
	r->put = put;
	r->arg = arg;
	return &r->pub;
}
