/*-------------------------------------------------------------------------
 *
 * inspect.c
 *	  Functions that look at definitions: validate_query, list_sources,
 *	  dependency_tree, parse_duration_seconds.
 *
 * IDENTIFICATION
 *	  src/api/inspect.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "pgtrickle/env.h"
#include "pgtrickle/scheduler.h"

#include "api_internal.h"

PG_FUNCTION_INFO_V1(pgt_validate_query);
PG_FUNCTION_INFO_V1(pgt_list_sources);
PG_FUNCTION_INFO_V1(pgt_dependency_tree);
PG_FUNCTION_INFO_V1(pgt_parse_duration_seconds);

static void
put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
set_text(Datum *values, bool *nulls, int i, const char *text)
{
	nulls[i] = (text == NULL);
	values[i] = text ? CStringGetTextDatum(text) : (Datum) 0;
}

/* ---- validate_query ---- */

static void
put_check(FunctionCallInfo fcinfo, const char *name, const char *result,
		  const char *severity)
{
	Datum		values[3];
	bool		nulls[3];

	set_text(values, nulls, 0, name);
	set_text(values, nulls, 1, result);
	set_text(values, nulls, 2, severity);
	put_row(fcinfo, values, nulls);
}

char *
pgt_api_place_of_reason(const UnsupportedReason *reason, const char *sql)
{
	if (reason->location < 0 || reason->location > (int) strlen(sql))
		return "";
	return psprintf(" (at character %d)", pg_mbstrlen_with_len(sql, reason->location) + 1);
}

static char *
describe_obstacle(const UnsupportedReason *reason, const char *sql)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, reason->message);
	appendStringInfoString(&buf, pgt_api_place_of_reason(reason, sql));
	if (reason->detail)
		appendStringInfo(&buf, ". %s", reason->detail);
	if (reason->hint)
		appendStringInfo(&buf, "%s %s", reason->detail ? "" : ".", reason->hint);
	return buf.data;
}

/* Differential, but at a price. */
static void
put_polled_sources(FunctionCallInfo fcinfo, List *sources)
{
	ListCell   *lc;

	foreach(lc, sources)
	{
		SourceUse  *use = lfirst(lc);

		if (use->polled)
			put_check(fcinfo, "polled_source",
					  psprintf("%s \"%s\" is read as a whole %s, and compared with a kept copy. This is what %s asks for.",
							   pgt_query_polled_kind(use->relid), pgt_relation_label(use->relid),
							   pgt_query_polled_when(use->relid),
							   pgt_query_polling_setting(use->relid)),
					  "WARNING");
	}
}

/*
 * First row: the best mode.  Then one per obstacle: ERROR when no mode can
 * serve the query, WARNING when it is left to full refreshes.
 */
Datum
pgt_validate_query(PG_FUNCTION_ARGS)
{
	char	   *sql = pgt_api_text_arg(fcinfo, 0, "query", true);
	Query	   *query = pgt_query_parse(sql);
	List	   *obstacles = pgt_query_obstacles(query, sql);
	bool		refused = false;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, obstacles)
		refused |= ((UnsupportedReason *) lfirst(lc))->all_modes;
	put_check(fcinfo, "refresh_mode",
			  refused ? "none" : obstacles ? "FULL" : "DIFFERENTIAL",
			  refused ? "ERROR" : obstacles ? "WARNING" : "INFO");
	foreach(lc, obstacles)
	{
		UnsupportedReason *reason = lfirst(lc);

		put_check(fcinfo, reason->code, describe_obstacle(reason, sql),
				  reason->all_modes ? "ERROR" : "WARNING");
	}
	if (obstacles == NIL)
		put_polled_sources(fcinfo, pgt_query_analyze(query, sql)->sources);
	return (Datum) 0;
}

/* ---- list_sources ---- */

static const char *
source_type(Oid relid, bool is_stream_table)
{
	if (is_stream_table)
		return "stream table";
	switch (get_rel_relkind(relid))
	{
		case RELKIND_PARTITIONED_TABLE:
			return "partitioned table";
		case RELKIND_FOREIGN_TABLE:
			return "foreign table";
		case RELKIND_MATVIEW:
			return "materialized view";
		default:
			return "table";
	}
}

static const char *
source_capture(const StreamTable *st, Oid relid, bool is_stream_table)
{
	ChangeSource *cs = pgt_catalog_get_change_source(relid, true);

	if (st->differential && st->refresh_mode != PGT_MODE_FULL &&
		(cs == NULL || bms_is_empty(cs->columns)))
		return "kept copy";
	if (cs == NULL)
		return "none";
	if (is_stream_table)
		return "refresh";
	if (bms_is_empty(cs->columns))
		return "writes only";
	return cs->row_mode ? "row triggers" : "statement triggers";
}

static Datum
column_names(Oid relid, const Bitmapset *columns)
{
	Datum	   *elems = palloc(sizeof(Datum) * (bms_num_members(columns) + 1));
	int			n = 0;
	int			attnum = -1;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		char	   *name = pgt_attribute_name(relid, attnum);

		if (name)
			elems[n++] = CStringGetTextDatum(name);
	}
	return PointerGetDatum(construct_array(elems, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
pgt_list_sources(PG_FUNCTION_ARGS)
{
	char	   *name = pgt_api_text_arg(fcinfo, 0, "name", true);
	StreamTable *st = pgt_api_find_stream_table(name);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, pgt_catalog_list_dependencies(st->pgt_id))
	{
		Dependency *dep = lfirst(lc);
		Datum		values[5];
		bool		nulls[5] = {0};

		if (get_rel_name(dep->source) == NULL)
			continue;
		set_text(values, nulls, 0, pgt_quoted_relation_name(dep->source));
		values[1] = ObjectIdGetDatum(dep->source);
		set_text(values, nulls, 2, source_type(dep->source, dep->is_stream_table));
		set_text(values, nulls, 3, source_capture(st, dep->source, dep->is_stream_table));
		values[4] = column_names(dep->source, dep->columns_used);
		put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/* ---- dependency_tree ---- */

typedef struct Tree
{
	FunctionCallInfo fcinfo;
	List	   *path;			/* what leads here, OIDs */
	HTAB	   *shown;			/* OIDs of what has been shown with its readers */
} Tree;

static HTAB *
make_set_of_oids(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(Oid);
	ctl.hcxt = CurrentMemoryContext;
	return hash_create("pg_trickle dependency tree", 64, &ctl,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* A cycle is shown once round, and readers once only. */
static void
put_tree(Tree *tree, Oid relid, StreamTable *st, const char *prefix, const char *branch)
{
	List	   *consumers = pgt_catalog_list_consumers(relid);
	bool		cycle = list_member_oid(tree->path, relid);
	bool		shown = false;
	int			i = 0;
	ListCell   *lc;
	Datum		values[6];
	bool		nulls[6] = {0};
	char	   *label;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (get_rel_name(relid) == NULL)
		return;
	label = pgt_quoted_relation_name(relid);
	if (consumers != NIL)
		(void) hash_search(tree->shown, &relid, HASH_ENTER, &shown);
	set_text(values, nulls, 0, psprintf("%s%s%s%s", prefix, branch, label,
										cycle ? " (cycle)" : shown ? " (see above)" : ""));
	set_text(values, nulls, 1, label);
	set_text(values, nulls, 2, source_type(relid, st != NULL));
	values[3] = Int32GetDatum(list_length(tree->path));
	set_text(values, nulls, 4, st ? pgt_status_name(st->status) : NULL);
	set_text(values, nulls, 5, st ? pgt_mode_name(st->refresh_mode) : NULL);
	put_row(tree->fcinfo, values, nulls);
	if (cycle || shown)
		return;

	prefix = branch[0] == '\0' ? prefix :
		psprintf("%s%s", prefix, branch[0] == '+' ? "|   " : "    ");
	tree->path = lappend_oid(tree->path, relid);
	foreach(lc, consumers)
	{
		Dependency *dep = lfirst(lc);
		StreamTable *consumer = pgt_catalog_get_stream_table_by_id(dep->pgt_id, true);

		i++;
		if (consumer)
			put_tree(tree, consumer->relid, consumer, prefix,
					 i < list_length(consumers) ? "+-- " : "`-- ");
	}
	tree->path = list_delete_last(tree->path);
}

/*
 * What reads what, from the base tables down; a stream table with several
 * sources appears under each, what reads it only once.
 */
Datum
pgt_dependency_tree(PG_FUNCTION_ARGS)
{
	List	   *stream_tables = pgt_catalog_list_stream_tables();
	List	   *roots = NIL;
	Tree		tree = {fcinfo, NIL, make_set_of_oids()};
	ListCell   *lc,
			   *lc2;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, stream_tables)
	{
		StreamTable *st = lfirst(lc);
		List	   *deps = pgt_catalog_list_dependencies(st->pgt_id);

		foreach(lc2, deps)
		{
			Dependency *dep = lfirst(lc2);

			if (!dep->is_stream_table)
				roots = list_append_unique_oid(roots, dep->source);
		}
	}
	foreach(lc, roots)
		put_tree(&tree, lfirst_oid(lc), NULL, "", "");
	foreach(lc, stream_tables)
	{
		StreamTable *st = lfirst(lc);

		if (pgt_catalog_list_dependencies(st->pgt_id) == NIL)
			put_tree(&tree, st->relid, st, "", "");
	}
	return (Datum) 0;
}

/* ---- small ones ---- */

Datum
pgt_parse_duration_seconds(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(pgt_schedule_parse_duration(pgt_api_text_arg(fcinfo, 0, "duration", true)));
}
