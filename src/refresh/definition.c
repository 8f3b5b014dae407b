/*-------------------------------------------------------------------------
 *
 * definition.c
 *	  What hangs on a stream table: hidden view, guard trigger, dependencies,
 *	  privileges, captured sources.
 *
 * The defining query lives in view pgtrickle_changes.def_<pgt_id>, stored as
 * the analysed query tree: renames of anything it mentions cannot break it,
 * and the server knows what it depends on.  The dependencies between the
 * objects make DROP do the right thing without our help:
 *
 *		source  <- normal -  view  - internal ->  stream table  - normal ->  extension
 *
 * Dropping the stream table drops the view; dropping a source is refused, or
 * with CASCADE reaches the view and so drops the stream table; the view by
 * itself cannot be dropped.  DROP EXTENSION needs CASCADE.
 *
 * The guard is a BEFORE STATEMENT trigger: refreshes write rows by the table
 * access method, where statement triggers do not fire, so there is nothing to
 * bypass it by.  It is an internal trigger: \d does not show it, pg_dump does
 * not dump it (adoption creates it again), owners cannot disable it.
 *
 * IDENTIFICATION
 *	  src/refresh/definition.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "commands/view.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/graph.h"
#include "pgtrickle/refresh.h"

#include "refresh_internal.h"

#define GUARD_NAME		"pg_trickle_guard"
#define GUARD_FUNCTION	"guard_stream_table"

/* ---- hidden view ---- */

/*
 * A dump without data brings hidden views back, but no rows of our catalog
 * that they belong to.
 */
static void
drop_orphan(const char *name)
{
	Oid			relid = get_relname_relid(name, pgt_changes_schema_oid());
	ObjectAddress view;
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	foreach(lc, pgt_catalog_list_stream_tables())
		if (((StreamTable *) lfirst(lc))->definition == relid)
			return;
	ObjectAddressSet(view, RelationRelationId, relid);
	performDeletion(&view, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

Oid
pgt_definition_create_view(const StreamTable *st, Query *query, List *columns)
{
	CreateStmt *create = makeNode(CreateStmt);
	Oid			owner = pgt_relation_owner(st->relid);
	char	   *name = psprintf("def_" INT64_FORMAT, st->pgt_id);
	ObjectAddress address;
	PinnedEnv	env;

	drop_orphan(name);
	create->relation = makeRangeVar(pstrdup(PGT_CHANGES_SCHEMA), name, -1);
	create->tableElts = copyObject(columns);
	create->oncommit = ONCOMMIT_NOOP;

	pgt_env_enter_internal(&env);
	address = DefineRelation(create, RELKIND_VIEW, owner, NULL, NULL);
	CommandCounterIncrement();
	StoreViewQuery(address.objectId, copyObject(query), false);
	CommandCounterIncrement();
	pgt_env_leave(&env);
	return address.objectId;
}

/* The stream table stays. */
void
pgt_definition_drop_view(Oid viewid)
{
	ObjectAddress view;

	ObjectAddressSet(view, RelationRelationId, viewid);
	(void) deleteDependencyRecordsForClass(RelationRelationId, viewid,
										   RelationRelationId, DEPENDENCY_INTERNAL);
	CommandCounterIncrement();
	performDeletion(&view, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

/* ---- dependencies and guard ---- */

static void
record_dependency_once(Oid relid, Oid refclass, Oid refobject, DependencyType type)
{
	ObjectAddress object;
	ObjectAddress referenced;

	ObjectAddressSet(object, RelationRelationId, relid);
	ObjectAddressSet(referenced, refclass, refobject);
	(void) deleteDependencyRecordsForSpecific(RelationRelationId, relid, type,
											  refclass, refobject);
	recordDependencyOn(&object, &referenced, type);
}

/* The guard trigger of a table and whether it fires always, or InvalidOid. */
static Oid
find_guard(Oid relid, char **name, char *enabled)
{
	Oid			function = pgt_own_function(GUARD_FUNCTION);
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);

		if (trigger->tgfoid == function)
		{
			result = trigger->oid;
			*name = pstrdup(NameStr(trigger->tgname));
			*enabled = trigger->tgenabled;
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static void
create_guard(Oid relid)
{
	CreateTrigStmt *stmt = makeNode(CreateTrigStmt);

	stmt->trigname = GUARD_NAME;
	stmt->relation = NULL;
	stmt->funcname = list_make2(makeString(PGT_SCHEMA), makeString(GUARD_FUNCTION));
	stmt->row = false;
	stmt->timing = TRIGGER_TYPE_BEFORE;
	stmt->events = TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
		TRIGGER_TYPE_DELETE | TRIGGER_TYPE_TRUNCATE;
	(void) CreateTriggerFiringOn(stmt, NULL, relid, InvalidOid, InvalidOid, InvalidOid,
								 pgt_own_function(GUARD_FUNCTION), InvalidOid, NULL,
								 true, false, TRIGGER_FIRES_ALWAYS);
	CommandCounterIncrement();
}

static void
ensure_guard(Oid relid)
{
	char	   *name;
	char		enabled;

	if (!OidIsValid(find_guard(relid, &name, &enabled)))
		create_guard(relid);
	else if (enabled != TRIGGER_FIRES_ALWAYS)
	{
		Relation	rel = table_open(relid, ShareRowExclusiveLock);

		EnableDisableTrigger(rel, name, InvalidOid, TRIGGER_FIRES_ALWAYS, false, false,
							 ShareRowExclusiveLock);
		table_close(rel, NoLock);
		CommandCounterIncrement();
	}
}

void
pgt_definition_bind(const StreamTable *st)
{
	record_dependency_once(st->relid, ExtensionRelationId, pgt_extension_oid(false),
						   DEPENDENCY_NORMAL);
	record_dependency_once(st->definition, RelationRelationId, st->relid,
						   DEPENDENCY_INTERNAL);
	CommandCounterIncrement();
	ensure_guard(st->relid);
	pgt_definition_grant_usage(pgt_relation_owner(st->relid));
}

/* ---- privileges ---- */

/* Roles that USAGE on schema pgtrickle_changes was granted to, but its owner. */
static List *
grantees(void)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID,
										ObjectIdGetDatum(pgt_changes_schema_oid()));
	Oid			owner;
	Datum		datum;
	bool		isnull;
	List	   *result = NIL;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %s", PGT_CHANGES_SCHEMA);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	datum = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl, &isnull);
	if (!isnull)
	{
		Acl		   *acl = DatumGetAclP(datum);
		AclItem    *items = ACL_DAT(acl);

		for (int i = 0; i < ACL_NUM(acl); i++)
			if (items[i].ai_grantee != owner && items[i].ai_grantee != ACL_ID_PUBLIC &&
				(ACLITEM_GET_PRIVS(items[i]) & ACL_USAGE) != 0)
				result = lappend_oid(result, items[i].ai_grantee);
	}
	ReleaseSysCache(tuple);
	return result;
}

/* Those of them that own no stream table. */
static List *
unused_grantees(void)
{
	List	   *result = grantees();
	ListCell   *lc;

	if (result == NIL)
		return NIL;
	foreach(lc, pgt_catalog_list_stream_tables())
	{
		StreamTable *st = lfirst(lc);
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(st->relid));

		if (!HeapTupleIsValid(tuple))
			continue;
		result = list_delete_oid(result, ((Form_pg_class) GETSTRUCT(tuple))->relowner);
		ReleaseSysCache(tuple);
	}
	return result;
}

/*
 * GRANT or REVOKE of two transactions update the same row of pg_namespace, and
 * the second one would fail.  So whoever has to do it waits for the other
 * first; creating objects in the schema does not wait.
 */
static void
lock_changes_schema(void)
{
	LockDatabaseObject(NamespaceRelationId, pgt_changes_schema_oid(), 0,
					   ShareUpdateExclusiveLock);
	AcceptInvalidationMessages();
}

static void
grant_or_revoke(Oid role, bool is_grant)
{
	GrantStmt  *stmt = makeNode(GrantStmt);
	AccessPriv *priv = makeNode(AccessPriv);
	RoleSpec   *spec = makeNode(RoleSpec);
	PinnedEnv	env;

	priv->priv_name = "usage";
	spec->roletype = ROLESPEC_CSTRING;
	spec->rolename = GetUserNameFromId(role, false);
	spec->location = -1;
	stmt->is_grant = is_grant;
	stmt->targtype = ACL_TARGET_OBJECT;
	stmt->objtype = OBJECT_SCHEMA;
	stmt->objects = list_make1(makeString(PGT_CHANGES_SCHEMA));
	stmt->privileges = list_make1(priv);
	stmt->grantees = list_make1(spec);
	stmt->behavior = DROP_RESTRICT;

	pgt_env_enter_internal(&env);
	ExecuteGrantStmt(stmt);
	pgt_env_leave(&env);
	CommandCounterIncrement();
}

void
pgt_definition_grant_usage(Oid owner)
{
	Oid			schema = pgt_changes_schema_oid();

	if (object_aclcheck(NamespaceRelationId, schema, owner, ACL_USAGE) == ACLCHECK_OK)
		return;
	lock_changes_schema();
	if (object_aclcheck(NamespaceRelationId, schema, owner, ACL_USAGE) == ACLCHECK_OK)
		return;
	grant_or_revoke(owner, true);
}

/*
 * A role that creates a stream table at this moment may lose the right again;
 * its first refresh gives it back.
 */
void
pgt_definition_revoke_unused_usage(void)
{
	ListCell   *lc;

	if (unused_grantees() == NIL)
		return;
	lock_changes_schema();
	foreach(lc, unused_grantees())
		grant_or_revoke(lfirst_oid(lc), false);
}

static bool
permission_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		pgt_check_query_permissions((Query *) node);
		return query_tree_walker((Query *) node, permission_walker, context, 0);
	}
	return expression_tree_walker(node, permission_walker, context);
}

/*
 * What the executor would check when the query runs, at all levels: also when
 * the table is created without being filled.
 */
void
pgt_definition_check_permissions(Query *query)
{
	(void) permission_walker((Node *) query, NULL);
}

static bool
may_select(Oid relid, const Bitmapset *columns, Oid role)
{
	int			attnum = -1;

	if (pg_class_aclcheck(relid, role, ACL_SELECT) == ACLCHECK_OK)
		return true;
	if (bms_is_empty(columns))
		return false;
	while ((attnum = bms_next_member(columns, attnum)) >= 0)
		if (pg_attribute_aclcheck(relid, attnum, role, ACL_SELECT) != ACLCHECK_OK)
			return false;
	return true;
}

void
pgt_definition_check_source_privileges(List *sources)
{
	Oid			role = GetUserId();
	ListCell   *lc;

	foreach(lc, sources)
	{
		SourceUse  *use = lfirst(lc);

		if (!may_select(use->relid, use->columns, role))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for table %s", get_rel_name(use->relid)),
					 errdetail("The owner of a stream table needs SELECT on the columns it uses.")));
	}
}

/* ---- sources ---- */

/* A query may use no column of a source at all: then any one is captured. */
static Bitmapset *
columns_of_use(const SourceUse *use)
{
	Relation	rel;
	Bitmapset  *result = NULL;

	if (!bms_is_empty(use->columns))
		return bms_copy(use->columns);
	rel = table_open(use->relid, AccessShareLock);
	for (int i = 0; i < RelationGetDescr(rel)->natts && result == NULL; i++)
		if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
			result = bms_make_singleton(i + 1);
	table_close(rel, NoLock);
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" without columns cannot be a source of a stream table",
						get_rel_name(use->relid))));
	return result;
}

static int
compare_sources(const ListCell *a, const ListCell *b)
{
	Oid			x = ((SourceUse *) lfirst(a))->relid;
	Oid			y = ((SourceUse *) lfirst(b))->relid;

	return x < y ? -1 : x > y ? 1 : 0;
}

void
pgt_definition_attach_sources(const StreamTable *st, const QueryAnalysis *analysis)
{
	int64		pgt_id = st->pgt_id;
	List	   *old = pgt_catalog_list_dependencies(pgt_id);
	List	   *sources = list_copy(analysis->sources);
	List	   *deps = NIL;
	char	   *fingerprint = pgt_query_fingerprint(analysis);
	bool		images = analysis->definition && st->refresh_mode != PGT_MODE_FULL;
	bool		touches = !images && analysis->determined;
	List	   *polled = NIL;
	ListCell   *lc,
			   *lc2;

	list_sort(sources, compare_sources);
	foreach(lc, sources)
	{
		SourceUse  *use = lfirst(lc);
		Dependency *dep = palloc0(sizeof(Dependency));

		if (use->polled)
			polled = lappend_oid(polled, use->relid);

		dep->pgt_id = pgt_id;
		dep->source = use->relid;
		dep->is_stream_table = use->is_stream_table;
		dep->columns_used = columns_of_use(use);
		dep->signature = fingerprint;
		deps = lappend(deps, dep);
	}
	/* before attaching: capture asks who reads the source, and what */
	pgt_catalog_replace_dependencies(pgt_id, deps);
	if (touches)
	{
		foreach(lc, deps)
			touches &= pgt_cdc_may_attach_touches(((Dependency *) lfirst(lc))->source);
	}
	foreach(lc, deps)
	{
		Dependency *dep = lfirst(lc);

		bool		is_polled = list_member_oid(polled, dep->source);

		if (images && !is_polled)
			pgt_cdc_attach_source(dep->source, dep->columns_used);
		/* if it can be known when it was written, it is compared only then */
		else if (touches || (images && pgt_cdc_may_attach_touches(dep->source)))
			pgt_cdc_attach_touches(dep->source);
	}
	foreach(lc, old)
	{
		Dependency *dep = lfirst(lc);
		bool		kept = false;

		foreach(lc2, deps)
			kept |= ((Dependency *) lfirst(lc2))->source == dep->source;
		if (!kept)
			pgt_cdc_detach_source_if_unused(dep->source);
	}
}

void
pgt_definition_report_polled(const StreamTable *st, const QueryAnalysis *analysis)
{
	ListCell   *lc;

	if (!st->differential || st->refresh_mode == PGT_MODE_FULL)
		return;
	foreach(lc, analysis->sources)
	{
		SourceUse  *use = lfirst(lc);

		if (!use->polled)
			continue;
		ereport(NOTICE,
				(errmsg("refreshes of stream table \"%s\" will read all of %s \"%s\"",
						get_rel_name(st->relid), pgt_query_polled_kind(use->relid),
						pgt_relation_label(use->relid)),
				 errdetail("Its changes cannot be captured; it is compared %s with a copy of the columns that are used, which is kept beside the stream table.",
						   pgt_query_polled_when(use->relid)),
				 errhint("Without %s, the stream table is recomputed, which needs no copy.",
						 pgt_query_polling_setting(use->relid))));
	}
}

/*
 * A source that cannot be captured makes any definition a matter of full
 * refreshes, whatever its query.
 */
void
pgt_definition_decide(StreamTable *st, QueryAnalysis *analysis)
{
	UnsupportedReason *reason = analysis->not_differential;
	ListCell   *lc;

	if (pgt_cycle_check(st, analysis))
		reason = pgt_reason_make(PGT_CYCLE_CODE, -1,
								 pstrdup("a cycle of stream tables is iterated to its fixed point"),
								 NULL, NULL);

	foreach(lc, analysis->sources)
	{
		SourceUse  *use = lfirst(lc);
		UnsupportedReason *obstacle = pgt_cdc_check_source(use->relid);

		if (obstacle && obstacle->all_modes)
			pgt_reason_throw(obstacle, NULL);
		if (obstacle == NULL && st->refresh_mode != PGT_MODE_FULL)
			obstacle = pgt_cdc_check_columns(use->relid, use->columns);
		/* a copy that no refresh compares is of no use */
		if (reason == NULL && !(use->polled && st->refresh_mode != PGT_MODE_FULL))
			reason = obstacle;
	}
	if (reason)
		analysis->definition = NULL;
	analysis->not_differential = reason;
	st->differential = (reason == NULL);
	st->downgrade_code = reason ? pstrdup(reason->code) : NULL;
	st->downgrade_reason = reason ? pstrdup(reason->message) : NULL;
}

/* ---- storage ---- */

/*
 * The identifying index of the stream table is marked as ours by an automatic
 * dependency on the extension (as ALTER INDEX ... DEPENDS ON EXTENSION makes,
 * so that dump and restore keep it), and replaced with the definition: as a
 * unique index of a former one it would refuse good rows.
 */
static bool
is_own_index(Oid index)
{
	return list_member_oid(getAutoExtensionsOfObject(RelationRelationId, index),
						   pgt_extension_oid(false));
}

static List *
index_list(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *result = list_copy(RelationGetIndexList(rel));

	table_close(rel, NoLock);
	return result;
}

static void
drop_own_indexes(Oid relid)
{
	ListCell   *lc;

	foreach(lc, index_list(relid))
	{
		ObjectAddress index;

		if (!is_own_index(lfirst_oid(lc)))
			continue;
		ObjectAddressSet(index, RelationRelationId, lfirst_oid(lc));
		performDeletion(&index, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	}
	CommandCounterIncrement();
}

static void
mark_new_indexes(Oid relid, List *before)
{
	ListCell   *lc;

	foreach(lc, index_list(relid))
	{
		ObjectAddress index;
		ObjectAddress extension;

		if (list_member_oid(before, lfirst_oid(lc)) || is_own_index(lfirst_oid(lc)))
			continue;
		ObjectAddressSet(index, RelationRelationId, lfirst_oid(lc));
		ObjectAddressSet(extension, ExtensionRelationId, pgt_extension_oid(false));
		recordDependencyOn(&index, &extension, DEPENDENCY_AUTO_EXTENSION);
	}
	CommandCounterIncrement();
}

void
pgt_definition_rebuild_storage(StreamTable *st, QueryAnalysis *analysis, bool keep_index)
{
	List	   *before;

	pgt_storage_drop(st->pgt_id);
	if (!keep_index)
		drop_own_indexes(st->relid);
	before = index_list(st->relid);
	pgt_storage_create(st, analysis);
	mark_new_indexes(st->relid, before);
}
