/*-------------------------------------------------------------------------
 *
 * create.c
 *	  create_stream_table() and its variants.
 *
 * Everything happens in the caller's transaction: an error leaves nothing.
 * The query is parsed once, with the caller's rights and search_path; from
 * then on only its tree is used.  Capture is attached before the first fill:
 * attaching waits for writers in flight, so every change is either in the
 * snapshot of the fill or captured.
 *
 * IDENTIFICATION
 *	  src/api/create.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/refresh.h"
#include "pgtrickle/scheduler.h"

#include "api_internal.h"

PG_FUNCTION_INFO_V1(pgt_create_stream_table);
PG_FUNCTION_INFO_V1(pgt_create_stream_table_if_not_exists);
PG_FUNCTION_INFO_V1(pgt_create_or_replace_stream_table);

/* Arguments of the three functions, checked. */
typedef struct CreateRequest
{
	char	   *name;
	char	   *sql;
	char	   *schedule;
	RefreshMode mode;
	bool		initialize;
	char	   *diamond_consistency;
	char	   *diamond_schedule_policy;
	char	   *cdc_mode;
	bool		append_only;
	/* where it goes */
	char	   *schema;
	char	   *relname;
	Oid			existing;		/* relation of that name there */
} CreateRequest;

static void
read_arguments(FunctionCallInfo fcinfo, CreateRequest *req)
{
	req->name = pgt_api_text_arg(fcinfo, 0, "name", true);
	req->sql = pgt_api_text_arg(fcinfo, 1, "query", true);
	req->schedule = pgt_api_schedule(pgt_api_text_arg(fcinfo, 2, "schedule", false));
	req->mode = pgt_mode_parse(pgt_api_text_arg(fcinfo, 3, "refresh_mode", true));
	req->initialize = pgt_api_bool_arg(fcinfo, 4, "initialize");
	req->diamond_consistency =
		pgt_api_diamond_consistency(pgt_api_text_arg(fcinfo, 5, "diamond_consistency", false));
	req->diamond_schedule_policy =
		pgt_api_diamond_schedule_policy(pgt_api_text_arg(fcinfo, 6, "diamond_schedule_policy", false));
	req->cdc_mode = pgt_api_cdc_mode(pgt_api_text_arg(fcinfo, 7, "cdc_mode", false));
	if (req->cdc_mode == NULL)
		req->cdc_mode = pgt_api_default_cdc_mode();
	req->append_only = pgt_api_bool_arg(fcinfo, 8, "append_only");
}

/* Where CREATE TABLE would put it, with CREATE's checks and lock on the schema. */
static void
resolve_target(CreateRequest *req)
{
	List	   *names = textToQualifiedNameList(cstring_to_text(req->name));
	RangeVar   *rv = makeRangeVarFromNameList(names);
	Oid			namespace = RangeVarGetAndCheckCreationNamespace(rv, NoLock, &req->existing);

	if (isTempOrTempToastNamespace(namespace))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("stream table \"%s\" cannot be temporary", rv->relname),
				 errhint("Other sessions have to be able to refresh it.")));
	if (namespace == pgt_schema_oid() || namespace == pgt_changes_schema_oid())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("stream tables cannot be created in schema \"%s\"",
						get_namespace_name(namespace)),
				 errdetail("The schema is reserved for pg_trickle's own objects.")));
	req->schema = get_namespace_name(namespace);
	req->relname = rv->relname;
}

/* What decides whether the query can be served in the mode asked for. */
static QueryAnalysis *
analyze_query(const CreateRequest *req, Query *query)
{
	QueryAnalysis *analysis = pgt_query_analyze(query, req->sql);

	if (analysis->refused)
		pgt_api_throw_reason(analysis->refused, req->sql, req->relname);
	if (analysis->not_differential && req->mode == PGT_MODE_DIFFERENTIAL)
		pgt_api_throw_reason(analysis->not_differential, req->sql, req->relname);
	pgt_definition_check_permissions(query);
	if (analysis->definition)
		pgt_definition_check_source_privileges(analysis->sources);
	return analysis;
}

static void
report_downgrade(const StreamTable *st, const UnsupportedReason *reason, const char *sql)
{
	if (st->differential || st->refresh_mode != PGT_MODE_AUTO)
		return;
	ereport(NOTICE,
			(errmsg("stream table \"%s\" will be recomputed by each refresh",
					get_rel_name(st->relid)),
			 errdetail("Its query cannot be maintained differentially: %s%s.",
					   reason->message, pgt_api_place_of_reason(reason, sql)),
			 reason->hint ? errhint("%s", reason->hint) : 0));
}

/* A lookup without an index makes each refresh read the whole table. */
static void
report_missing_indexes(const StreamTable *st, const QueryAnalysis *analysis)
{
	StringInfoData columns;
	List	   *missing;
	ListCell   *lc;

	if (!st->differential || st->refresh_mode == PGT_MODE_FULL)
		return;
	missing = pgt_refresh_missing_indexes(analysis->definition);
	if (missing == NIL)
		return;
	initStringInfo(&columns);
	foreach(lc, missing)
		appendStringInfo(&columns, "%s%s", foreach_current_index(lc) ? ", " : "",
						 (char *) lfirst(lc));
	ereport(NOTICE,
			(errmsg("refreshes of stream table \"%s\" will read whole tables for want of an index",
					get_rel_name(st->relid)),
			 errdetail("They look up rows by these columns: %s.", columns.data),
			 errhint("Create indexes on them if the tables are large.")));
}

/* Sorting decides which rows there are only together with other clauses. */
static void
report_order(const StreamTable *st, const Query *query)
{
	if (query->sortClause == NIL || query->hasDistinctOn || query->limitCount || query->limitOffset)
		return;
	ereport(NOTICE,
			(errmsg("ORDER BY in the defining query of stream table \"%s\" has no effect",
					get_rel_name(st->relid)),
			 errdetail("The rows of a table have no order."),
			 errhint("Sort in the queries that read the stream table.")));
}

static Oid
create_stream_table(const CreateRequest *req)
{
	Query	   *query = pgt_query_parse(req->sql);
	QueryAnalysis *analysis = analyze_query(req, query);
	StreamTable *st = palloc0(sizeof(StreamTable));
	RefreshState *state;

	st->schedule = req->schedule;
	st->refresh_mode = req->mode;
	st->status = PGT_STATUS_INITIALIZING;
	st->diamond_consistency = req->diamond_consistency;
	st->diamond_schedule_policy = req->diamond_schedule_policy;
	st->cdc_mode = req->cdc_mode;
	st->append_only = req->append_only;
	st->settings = pgt_env_capture_settings();
	st->generation = 1;
	st->created_at = GetCurrentTransactionStartTimestamp();
	pgt_definition_decide(st, analysis);
	if (req->mode == PGT_MODE_DIFFERENTIAL && !st->differential)
		pgt_api_throw_reason(analysis->not_differential, req->sql, req->relname);

	st->relid = pgt_definition_create_table(req->schema, req->relname, analysis->columns,
											st->differential && req->mode != PGT_MODE_FULL);
	st->stamp = pgt_catalog_make_stamp(st->relid);
	(void) pgt_catalog_insert_stream_table(st);
	(void) pgt_catalog_lock_stream_table(st->pgt_id, false);
	st->definition = pgt_definition_create_view(st, query, analysis->columns);
	pgt_catalog_update_stream_table(st);
	state = pgt_catalog_get_refresh_state(st->pgt_id, false);
	pgt_catalog_put_refresh_state(state);
	pgt_definition_bind(st);
	pgt_definition_attach_sources(st, analysis);
	pgt_definition_rebuild_storage(st, analysis, false);
	report_order(st, query);
	report_downgrade(st, analysis->not_differential, req->sql);
	pgt_definition_report_polled(st, analysis);
	report_missing_indexes(st, analysis);
	pgt_refresh_report_append(st, analysis->definition);

	if (req->initialize)
	{
		RefreshRecord rec;

		memset(&rec, 0, sizeof(rec));
		pgt_refresh_run(st->relid, PGT_BY_INITIAL, &rec);
	}
	pgt_scheduler_notify_catalog_change();
	return st->relid;
}

Datum
pgt_create_stream_table(PG_FUNCTION_ARGS)
{
	CreateRequest req = {0};

	pgt_api_prevent_read_only("create_stream_table()");
	read_arguments(fcinfo, &req);
	resolve_target(&req);
	if (OidIsValid(req.existing))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", req.relname)));
	PG_RETURN_OID(create_stream_table(&req));
}

/* A relation of another kind under the name is an error, never taken for ours. */
static StreamTable *
existing_stream_table(const CreateRequest *req)
{
	StreamTable *st = pgt_catalog_get_stream_table(req->existing, true);

	if (st == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" already exists and is not a stream table",
						req->relname)));
	return st;
}

Datum
pgt_create_stream_table_if_not_exists(PG_FUNCTION_ARGS)
{
	CreateRequest req = {0};

	pgt_api_prevent_read_only("create_stream_table_if_not_exists()");
	read_arguments(fcinfo, &req);
	resolve_target(&req);
	if (!OidIsValid(req.existing))
		PG_RETURN_OID(create_stream_table(&req));
	(void) existing_stream_table(&req);
	ereport(NOTICE,
			(errcode(ERRCODE_DUPLICATE_TABLE),
			 errmsg("stream table \"%s\" already exists, skipping", req.relname)));
	PG_RETURN_OID(req.existing);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* initialize matters to a table that was never filled only. */
static void
replace_stream_table(const CreateRequest *req)
{
	AlterRequest alter = {0};
	Query	   *query = pgt_query_parse(req->sql);
	StreamTable *st;
	bool		unfilled;

	st = pgt_api_lock_owned(quote_qualified_identifier(req->schema, req->relname));
	unfilled = !st->is_populated;
	if (!pgt_api_same_query(st, query))
	{
		alter.sql = req->sql;
		alter.query = query;
	}
	alter.set_schedule = !same_text(req->schedule, st->schedule);
	alter.schedule = req->schedule;
	alter.set_mode = req->mode != st->refresh_mode;
	alter.mode = req->mode;
	alter.set_diamond_consistency = !same_text(req->diamond_consistency, st->diamond_consistency);
	alter.diamond_consistency = req->diamond_consistency;
	alter.set_diamond_schedule_policy =
		!same_text(req->diamond_schedule_policy, st->diamond_schedule_policy);
	alter.diamond_schedule_policy = req->diamond_schedule_policy;
	alter.set_cdc_mode = !same_text(req->cdc_mode, st->cdc_mode);
	alter.cdc_mode = req->cdc_mode;
	alter.set_append_only = req->append_only != st->append_only;
	alter.append_only = req->append_only;
	pgt_api_alter(st, &alter);

	if (unfilled && req->initialize && st->status != PGT_STATUS_SUSPENDED)
	{
		RefreshRecord rec;

		memset(&rec, 0, sizeof(rec));
		pgt_refresh_run(st->relid, PGT_BY_INITIAL, &rec);
	}
}

Datum
pgt_create_or_replace_stream_table(PG_FUNCTION_ARGS)
{
	CreateRequest req = {0};

	pgt_api_prevent_read_only("create_or_replace_stream_table()");
	read_arguments(fcinfo, &req);
	resolve_target(&req);
	if (!OidIsValid(req.existing))
		PG_RETURN_OID(create_stream_table(&req));
	(void) existing_stream_table(&req);
	replace_stream_table(&req);
	PG_RETURN_OID(req.existing);
}
