/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  Which functions a differentially maintained query may call.
 *
 * A row is removed from a stream table by computing it again from the old
 * values, so an expression must give the same value then as it gave before.
 * Immutable functions do.  Stable functions of pg_catalog do when all that
 * they depend on is a setting that every refresh pins (TimeZone, DateStyle,
 * ...); these are listed here.  Everything else (the clock, the session, user,
 * catalogs, stable functions of users, which may read tables) does not.
 *
 * The same decides whether a query that is recomputed has to be while its
 * sources stay as they are.
 *
 * IDENTIFICATION
 *	  src/query/functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "query_internal.h"

/*
 * Stable functions of pg_catalog that depend on pinned settings only.  Sorted
 * for bsearch.
 */
static const char *const pinned_stable[] = {
	"anyarray_out", "anycompatiblemultirange_out", "anycompatiblerange_out",
	"anyenum_out", "anymultirange_out", "anyrange_out", "anytextcat",
	"array_in", "array_out", "array_to_json", "array_to_string",
	"cash_in", "cash_out", "concat", "concat_ws",
	"convert", "convert_from", "convert_to",
	"date", "date_add", "date_cmp_timestamptz", "date_eq_timestamptz",
	"date_ge_timestamptz", "date_gt_timestamptz", "date_in",
	"date_le_timestamptz", "date_lt_timestamptz", "date_ne_timestamptz",
	"date_out", "date_part", "date_subtract", "date_trunc", "domain_in",
	"enum_first", "enum_in", "enum_last", "enum_out", "enum_range",
	"extract", "format", "generate_series",
	"getdatabaseencoding", "interval_in", "interval_out", "interval_pl_timestamptz",
	"json_agg_strict_transfn", "json_agg_transfn", "json_build_array",
	"json_build_object", "json_object_agg_strict_transfn",
	"json_object_agg_transfn", "json_object_agg_unique_strict_transfn",
	"json_object_agg_unique_transfn", "json_populate_record",
	"json_populate_recordset", "json_to_record", "json_to_recordset",
	"json_to_tsvector", "jsonb_agg_finalfn",
	"jsonb_agg_strict_transfn", "jsonb_agg_transfn", "jsonb_build_array",
	"jsonb_build_object", "jsonb_object_agg_finalfn",
	"jsonb_object_agg_strict_transfn", "jsonb_object_agg_transfn",
	"jsonb_object_agg_unique_strict_transfn", "jsonb_object_agg_unique_transfn",
	"jsonb_path_exists_tz", "jsonb_path_match_tz", "jsonb_path_query_array_tz",
	"jsonb_path_query_first_tz", "jsonb_path_query_tz", "jsonb_populate_record",
	"jsonb_populate_recordset", "jsonb_to_record", "jsonb_to_recordset",
	"jsonb_to_tsvector", "length", "make_timestamptz", "money",
	"multirange_in", "multirange_out", "numeric", "overlaps",
	"pg_typeof", "phraseto_tsquery", "plainto_tsquery",
	"quote_literal", "quote_nullable", "range_in", "range_out",
	"record_in", "record_out", "row_to_json", "textanycat",
	"time", "time_in", "timestamp", "timestamp_cmp_timestamptz",
	"timestamp_eq_timestamptz", "timestamp_ge_timestamptz",
	"timestamp_gt_timestamptz", "timestamp_in", "timestamp_le_timestamptz",
	"timestamp_lt_timestamptz", "timestamp_ne_timestamptz", "timestamp_out",
	"timestamptz", "timestamptz_cmp_date", "timestamptz_cmp_timestamp",
	"timestamptz_eq_date", "timestamptz_eq_timestamp", "timestamptz_ge_date",
	"timestamptz_ge_timestamp", "timestamptz_gt_date",
	"timestamptz_gt_timestamp", "timestamptz_in", "timestamptz_le_date",
	"timestamptz_le_timestamp", "timestamptz_lt_date",
	"timestamptz_lt_timestamp", "timestamptz_mi_interval",
	"timestamptz_ne_date", "timestamptz_ne_timestamp", "timestamptz_out",
	"timestamptz_pl_interval", "timetz", "timetz_in", "timezone",
	"to_char", "to_date", "to_json", "to_jsonb", "to_number",
	"to_timestamp", "to_tsquery", "to_tsvector", "ts_headline",
	"ts_match_tq", "ts_match_tt", "websearch_to_tsquery", "xml", "xml_in",
	"xml_is_well_formed"
};

static int
compare_names(const void *a, const void *b)
{
	return strcmp((const char *) a, *(const char *const *) b);
}

static bool
is_pinned_stable(Oid funcid)
{
	char	   *name;

	if (get_func_namespace(funcid) != PG_CATALOG_NAMESPACE)
		return false;
	name = get_func_name(funcid);
	return name != NULL &&
		bsearch(name, pinned_stable, lengthof(pinned_stable),
				sizeof(pinned_stable[0]), compare_names) != NULL;
}

typedef struct FunctionCheck
{
	List	  **reasons;
	Node	   *node;
} FunctionCheck;

#define OF_CLOCK \
	"Keep what is compared with the clock as a column, and compare when querying the stream table; " OR_FULL
#define OF_SESSION \
	"Keep what is compared with the session as a column, and compare when querying the stream table; " OR_FULL

static bool
is_builtin(Oid funcid)
{
	return get_func_namespace(funcid) == PG_CATALOG_NAMESPACE;
}

static bool
is_clock(Oid funcid)
{
	static const char *const names[] = {
		"now", "age", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "timeofday"
	};
	char	   *name = get_func_name(funcid);

	for (int i = 0; is_builtin(funcid) && i < lengthof(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void
add_reason(FunctionCheck *check, bool is_volatile, Oid funcid)
{
	UnsupportedReason *reason;
	const char *hint;

	if (strcmp(get_func_name(funcid), "nextval") == 0 && is_builtin(funcid))
		hint = "Make it the default of a column of the source, or an identity column, and select that; " OR_FULL;
	else if (is_clock(funcid))
		hint = OF_CLOCK;
	else if (is_volatile)
		hint = "Store the value in a column of the source, or use an immutable function; " OR_FULL;
	else if (is_builtin(funcid))
		hint = "Use an immutable function, or call it when querying the stream table; " OR_FULL;
	else
		hint = "Join the tables that it reads, or declare it IMMUTABLE if its result depends on nothing but its arguments; " OR_FULL;
	if (is_volatile)
		reason = pgt_reason_make("volatile_function", exprLocation(check->node),
								 pstrdup("the defining query calls a volatile function"),
								 psprintf("Function %s can give another value each time it is called.",
										  format_procedure(funcid)),
								 pstrdup(hint));
	else
		reason = pgt_reason_make("stable_function", exprLocation(check->node),
								 pstrdup("the defining query calls a function whose value may change between refreshes"),
								 psprintf("Function %s is stable, not immutable.",
										  format_procedure(funcid)),
								 pstrdup(hint));
	*check->reasons = lappend(*check->reasons, reason);
}

static bool
check_function(Oid funcid, void *arg)
{
	FunctionCheck *check = (FunctionCheck *) arg;
	char		volatility = func_volatile(funcid);

	if (volatility == PROVOLATILE_VOLATILE)
		add_reason(check, true, funcid);
	else if (volatility == PROVOLATILE_STABLE && !is_pinned_stable(funcid))
		add_reason(check, false, funcid);
	return false;
}

/* An aggregate is as volatile as the functions it is made of. */
static void
check_aggregate(Oid aggfnoid, FunctionCheck *check)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfnoid));
	Form_pg_aggregate agg;
	Oid			functions[5];

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggfnoid);
	agg = (Form_pg_aggregate) GETSTRUCT(tuple);
	functions[0] = agg->aggtransfn;
	functions[1] = agg->aggfinalfn;
	/* of frames that move; an aggregate that has them may meet them */
	functions[2] = agg->aggmtransfn;
	functions[3] = agg->aggminvtransfn;
	functions[4] = agg->aggmfinalfn;
	ReleaseSysCache(tuple);
	for (int i = 0; i < lengthof(functions); i++)
	{
		bool		seen = !OidIsValid(functions[i]);

		for (int j = 0; j < i; j++)
			seen |= functions[j] == functions[i];
		if (!seen)
			check_function(functions[i], check);
	}
}

/* Checks what the node calls, without its arguments. */
static void
check_calls(Node *node, FunctionCheck *check)
{
	if (IsA(node, Aggref))
		check_aggregate(((Aggref *) node)->aggfnoid, check);
	else if (IsA(node, WindowFunc) && get_func_prokind(((WindowFunc *) node)->winfnoid) == PROKIND_AGGREGATE)
		check_aggregate(((WindowFunc *) node)->winfnoid, check);
	else if (!IsA(node, Query))
		(void) check_functions_in_node(node, check_function, check);
}

static bool
function_walker(Node *node, void *context)
{
	FunctionCheck check;

	if (node == NULL)
		return false;
	check.reasons = (List **) context;
	check.node = node;
	if (IsA(node, SQLValueFunction))
		*check.reasons = lappend(*check.reasons,
								 pgt_reason_make("stable_function", exprLocation(node),
												 pstrdup("the defining query depends on the clock or on the session"),
												 pstrdup("Rows would change without any change of a source."),
												 pstrdup(((SQLValueFunction *) node)->op <= SVFOP_LOCALTIMESTAMP_N ? OF_CLOCK : OF_SESSION)));
	else if (IsA(node, NextValueExpr))
		*check.reasons = lappend(*check.reasons,
								 pgt_reason_make("volatile_function", -1,
												 pstrdup("the defining query draws from a sequence"),
												 NULL,
												 pstrdup("Use an identity column of the source; " OR_FULL)));
	else
		check_calls(node, &check);
	if (IsA(node, Query))
		return false;			/* callers look at each query level themselves */
	return expression_tree_walker(node, function_walker, context);
}

void
pgt_query_check_functions(Node *node, List **reasons)
{
	(void) function_walker(node, reasons);
}

/* ---- what is recomputed ---- */

static bool
varies(RangeTblEntry *rte)
{
	if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_VIEW)
		return false;
	/* row security: also the roles of the owner decide which policies apply */
	return rte->tablesample != NULL || rte->securityQuals != NIL ||
		(rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_PARTITIONED_TABLE &&
		 rte->relkind != RELKIND_MATVIEW);
}

/* True: something was found that may change by itself. */
static bool
undetermined_walker(Node *node, void *context)
{
	List	   *reasons = NIL;
	FunctionCheck check;

	if (node == NULL)
		return false;
	check.reasons = &reasons;
	check.node = node;
	if (IsA(node, SQLValueFunction) || IsA(node, NextValueExpr))
		return true;
	/* VACUUM FULL and CLUSTER change ctid */
	if (IsA(node, Var) && ((Var *) node)->varattno < 0 &&
		((Var *) node)->varattno != TableOidAttributeNumber)
		return true;
	check_calls(node, &check);
	if (reasons != NIL)
		return true;
	if (IsA(node, Query))
	{
		ListCell   *lc;

		foreach(lc, ((Query *) node)->rtable)
			if (varies(lfirst_node(RangeTblEntry, lc)))
				return true;
		return query_tree_walker((Query *) node, undetermined_walker, context, 0);
	}
	return expression_tree_walker(node, undetermined_walker, context);
}

bool
pgt_query_is_determined(Query *rewritten)
{
	return !undetermined_walker((Node *) rewritten, NULL);
}
