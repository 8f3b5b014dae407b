/*-------------------------------------------------------------------------
 *
 * env.c
 *	  The pinned execution environment, SPI wrappers, SQL text helpers and the
 *	  OIDs of our own objects.
 *
 * A stream table means what its query meant when it was created, whoever
 * refreshes it and from which session.  So the settings that reach into the
 * value or text of an expression are recorded then and put in force for each
 * execution; others are fixed because our own statements rely on them.  Most
 * sessions have nearly all of them already: a setting is only touched when its
 * value differs, which keeps entering the environment at a few microseconds.
 *
 * OIDs of our schemas, tables and functions are cached per backend.  DROP and
 * CREATE EXTENSION are noticed through invalidations of pg_namespace (our two
 * schemas), pg_proc and the relation cache; each empties the cache.
 *
 * IDENTIFICATION
 *	  src/common/env.c
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
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pgtrickle/env.h"
#include "pgtrickle/types.h"

#define PGT_EXTENSION		"pg_trickle"
#define PINNED_SEARCH_PATH	"pg_catalog, pg_temp"

/*
 * Settings recorded at creation: they decide the value of input, output and
 * conversion functions.  "value" is the server's boot value, in force where
 * nothing was recorded.
 */
typedef struct PinnedSetting
{
	const char *name;
	const char *value;
} PinnedSetting;

static const PinnedSetting recorded_settings[] = {
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "GMT"},
	{"array_nulls", "on"},
	{"bytea_output", "hex"},
	{"default_text_search_config", "pg_catalog.simple"},
	{"extra_float_digits", "1"},
	{"lc_monetary", "C"},
	{"lc_numeric", "C"},
	{"lc_time", "C"},
	{"pg_trickle.foreign_table_polling", "off"},
	{"pg_trickle.matview_polling", "off"},
	{"timezone_abbreviations", "Default"},
	{"xmlbinary", "base64"},
	{"xmloption", "content"},
};

/*
 * Settings with one value for all stream tables: how our own SQL text is read
 * and written, and what must not depend on the session.
 */
static const PinnedSetting fixed_settings[] = {
	{"search_path", PINNED_SEARCH_PATH},
	{"backslash_quote", "safe_encoding"},
	{"escape_string_warning", "on"},
	{"gin_fuzzy_search_limit", "0"},
	{"jit", "off"},
	{"quote_all_identifiers", "off"},
	{"row_security", "on"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
};

/* The settings text parsed last, so that it is parsed once per session. */
static char *parsed_text = NULL;
static char *parsed_values[lengthof(recorded_settings)];

/* ---- pinned environment ---- */

/*
 * Sets a setting in the current nest level, unless it has the value already.
 * The value is ours, not a user's, hence no check of privileges.
 */
void
pgt_env_set(const char *name, const char *value)
{
	const char *current = GetConfigOption(name, false, false);

	if (current && strcmp(current, value) == 0)
		return;
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* "name=value" lines; backslash and line feed of a value are escaped. */
char *
pgt_env_capture_settings(void)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < lengthof(recorded_settings); i++)
	{
		const char *value = GetConfigOption(recorded_settings[i].name, false, false);

		appendStringInfo(&buf, "%s=", recorded_settings[i].name);
		for (; value && *value; value++)
		{
			if (*value == '\n')
				appendStringInfoString(&buf, "\\n");
			else if (*value == '\\')
				appendStringInfoString(&buf, "\\\\");
			else
				appendStringInfoChar(&buf, *value);
		}
		appendStringInfoChar(&buf, '\n');
	}
	return buf.data;
}

char *
pgt_env_add_polling(const char *settings, const char *other)
{
	static const char *const names[] = {
		"pg_trickle.foreign_table_polling", "pg_trickle.matview_polling"
	};
	char	   *result = pstrdup(settings);

	for (int i = 0; i < lengthof(names); i++)
	{
		char	   *on = psprintf("%s=on\n", names[i]);
		char	   *off = psprintf("%s=off\n", names[i]);

		if (strstr(other, on) == NULL || strstr(result, on) != NULL)
			continue;
		/* one that is as old as the dump that it came with may not mention it */
		if (strstr(result, off) == NULL)
			result = psprintf("%s%s", result, on);
		else
		{
			char	   *found = strstr(result, off);

			result = psprintf("%.*s%s%s", (int) (found - result), result, on,
							  found + strlen(off));
		}
	}
	return result;
}

/* Undoes the escapes of one line's value, up to end, in CacheMemoryContext. */
static char *
unescape_value(const char *p, const char *end)
{
	char	   *result = MemoryContextAlloc(CacheMemoryContext, end - p + 1);
	char	   *out = result;

	for (; p < end; p++)
	{
		if (*p == '\\' && p + 1 < end)
		{
			p++;
			*out++ = (*p == 'n') ? '\n' : *p;
		}
		else
			*out++ = *p;
	}
	*out = '\0';
	return result;
}

/* Fills parsed_values from a settings text; unknown names are ignored. */
static void
parse_settings(const char *text)
{
	const char *line;

	if (parsed_text)
		pfree(parsed_text);
	parsed_text = NULL;
	for (int i = 0; i < lengthof(recorded_settings); i++)
	{
		if (parsed_values[i])
			pfree(parsed_values[i]);
		parsed_values[i] = NULL;
	}

	for (line = text; *line;)
	{
		const char *end = strchrnul(line, '\n');
		const char *eq = memchr(line, '=', end - line);

		for (int i = 0; eq && i < lengthof(recorded_settings); i++)
		{
			const char *name = recorded_settings[i].name;

			if (strlen(name) == eq - line && strncmp(name, line, eq - line) == 0 &&
				parsed_values[i] == NULL)
				parsed_values[i] = unescape_value(eq + 1, end);
		}
		line = *end ? end + 1 : end;
	}
	parsed_text = MemoryContextStrdup(CacheMemoryContext, text);
}

void
pgt_env_enter(PinnedEnv *env, Oid userid, const char *settings)
{
	GetUserIdAndSecContext(&env->save_userid, &env->save_sec_context);
	SetUserIdAndSecContext(userid,
						   env->save_sec_context | SECURITY_RESTRICTED_OPERATION);
	env->save_nestlevel = NewGUCNestLevel();

	for (int i = 0; i < lengthof(fixed_settings); i++)
		pgt_env_set(fixed_settings[i].name, fixed_settings[i].value);

	if (settings && (parsed_text == NULL || strcmp(parsed_text, settings) != 0))
		parse_settings(settings);
	for (int i = 0; i < lengthof(recorded_settings); i++)
	{
		const char *value = settings ? parsed_values[i] : NULL;

		pgt_env_set(recorded_settings[i].name,
					value ? value : recorded_settings[i].value);
	}
}

void
pgt_env_enter_internal(PinnedEnv *env)
{
	GetUserIdAndSecContext(&env->save_userid, &env->save_sec_context);
	SetUserIdAndSecContext(pgt_extension_owner(),
						   env->save_sec_context | SECURITY_LOCAL_USERID_CHANGE);
	env->save_nestlevel = NewGUCNestLevel();
	pgt_env_set("search_path", PINNED_SEARCH_PATH);
	pgt_env_set("standard_conforming_strings", "on");
	pgt_env_set("quote_all_identifiers", "off");
}

void
pgt_env_leave(PinnedEnv *env)
{
	AtEOXact_GUC(false, env->save_nestlevel);
	SetUserIdAndSecContext(env->save_userid, env->save_sec_context);
}

/* ---- SPI ---- */

void
pgt_spi_execute(const char *sql)
{
	int			ret;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	ret = SPI_execute(sql, false, 0);
	if (ret < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(ret));
	SPI_finish();
}

/* ---- SQL text and names ---- */

/* Schema and name of a relation; ERROR if there is none. */
static void
relation_names(Oid relid, char **schema, char **name)
{
	*name = get_rel_name(relid);
	if (*name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	*schema = get_namespace_name(get_rel_namespace(relid));
	if (*schema == NULL)
		elog(ERROR, "cache lookup failed for the schema of relation %u", relid);
}

Oid
pgt_relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

char *
pgt_quoted_relation_name(Oid relid)
{
	char	   *schema;
	char	   *name;

	relation_names(relid, &schema, &name);
	return quote_qualified_identifier(schema, name);
}

char *
pgt_relation_label(Oid relid)
{
	char	   *schema;
	char	   *name;

	relation_names(relid, &schema, &name);
	return psprintf("%s.%s", schema, name);
}

char *
pgt_attribute_name(Oid relid, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
										Int16GetDatum(attnum));
	char	   *result = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	if (!((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped)
		result = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	ReleaseSysCache(tuple);
	return result;
}

char *
pgt_quoted_column_list(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (buf.len > 0)
			appendStringInfoString(&buf, ", ");
		appendStringInfoString(&buf, quote_identifier(NameStr(att->attname)));
	}
	table_close(rel, NoLock);
	return buf.data;
}

/* ---- OIDs of our own objects ---- */

typedef struct OwnObject
{
	char		key[NAMEDATALEN + 1];	/* 'r' or 'f', then the name */
	Oid			oid;
} OwnObject;

static bool callbacks_registered = false;
static Oid	schema_oid = InvalidOid;
static Oid	changes_schema_oid = InvalidOid;
static Oid	extension_oid = InvalidOid;
static HTAB *own_objects = NULL;
static bool own_objects_valid = true;

/*
 * Callbacks only reset plain variables: they may run at any moment, also while
 * the hash table is being used.
 */
static void
forget_oids(void)
{
	schema_oid = InvalidOid;
	changes_schema_oid = InvalidOid;
	extension_oid = InvalidOid;
	own_objects_valid = false;
}

static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	forget_oids();
}

static void
relcache_callback(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	OwnObject  *entry;

	if (!OidIsValid(relid))
	{
		forget_oids();
		return;
	}
	if (own_objects == NULL || !own_objects_valid)
		return;
	hash_seq_init(&scan, own_objects);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->oid == relid && entry->key[0] == 'r')
		{
			own_objects_valid = false;
			hash_seq_term(&scan);
			break;
		}
	}
}

static void
register_callbacks(void)
{
	if (callbacks_registered)
		return;
	callbacks_registered = true;
	CacheRegisterSyscacheCallback(NAMESPACEOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, syscache_callback, (Datum) 0);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
}

Oid
pgt_schema_oid(void)
{
	register_callbacks();
	if (!OidIsValid(schema_oid))
	{
		Oid			oid = get_namespace_oid(PGT_SCHEMA, true);

		if (!OidIsValid(oid))
			(void) pgt_extension_oid(false);	/* the clearer message */
		schema_oid = oid;
	}
	return schema_oid;
}

Oid
pgt_changes_schema_oid(void)
{
	register_callbacks();
	if (!OidIsValid(changes_schema_oid))
	{
		Oid			oid = get_namespace_oid(PGT_CHANGES_SCHEMA, true);

		if (!OidIsValid(oid))
			(void) pgt_extension_oid(false);
		changes_schema_oid = oid;
	}
	return changes_schema_oid;
}

Oid
pgt_extension_oid(bool missing_ok)
{
	register_callbacks();
	if (!OidIsValid(extension_oid))
	{
		Oid			oid = get_extension_oid(PGT_EXTENSION, true);

		if (!OidIsValid(oid) && !missing_ok)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("extension \"%s\" is not installed in this database",
							PGT_EXTENSION),
					 errhint("Run CREATE EXTENSION %s.", PGT_EXTENSION)));
		extension_oid = oid;
	}
	return extension_oid;
}

/* Not cached: it may change by REASSIGN OWNED, of which nobody tells us. */
Oid
pgt_extension_owner(void)
{
	Oid			extension = pgt_extension_oid(false);
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find tuple for extension %u", extension);
	owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner;
}

/* The function of that name in schema pgtrickle; our names are not overloaded. */
static Oid
lookup_own_function(const char *name)
{
	CatCList   *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	Oid			schema = pgt_schema_oid();
	Oid			result = InvalidOid;

	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (proc->pronamespace == schema)
			result = proc->oid;
	}
	ReleaseSysCacheList(list);
	return result;
}

/* kind: 'r' relation, 'f' function */
static Oid
own_object(char kind, const char *name)
{
	char		key[NAMEDATALEN + 1];
	OwnObject  *entry;
	Oid			oid;
	bool		found;

	register_callbacks();
	if (own_objects && !own_objects_valid)
	{
		hash_destroy(own_objects);
		own_objects = NULL;
	}
	if (own_objects == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(key);
		ctl.entrysize = sizeof(OwnObject);
		ctl.hcxt = CacheMemoryContext;
		if (CacheMemoryContext == NULL)
			CreateCacheMemoryContext();
		own_objects = hash_create("pg_trickle own objects", 32, &ctl,
								  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
		own_objects_valid = true;
	}

	key[0] = kind;
	strlcpy(key + 1, name, sizeof(key) - 1);
	entry = hash_search(own_objects, key, HASH_FIND, NULL);
	if (entry)
		return entry->oid;

	oid = kind == 'r' ? get_relname_relid(name, pgt_schema_oid()) :
		lookup_own_function(name);
	if (!OidIsValid(oid))
	{
		(void) pgt_extension_oid(false);
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("object \"%s.%s\" of extension \"%s\" is missing",
						PGT_SCHEMA, name, PGT_EXTENSION),
				 errhint("The installed version of the extension may be another than that of the library.")));
	}
	/* if an invalidation came in meanwhile, the next call starts afresh */
	entry = hash_search(own_objects, key, HASH_ENTER, &found);
	entry->oid = oid;
	return oid;
}

Oid
pgt_own_relation(const char *name)
{
	return own_object('r', name);
}

Oid
pgt_own_function(const char *name)
{
	return own_object('f', name);
}

/* ---- extension membership ---- */

/*
 * A member is neither dumped nor droppable by users.  Its privileges of this
 * moment count as the initial ones, or pg_dump would dump them when default
 * privileges gave it any.
 */
void
pgt_extension_adopt_relation(Oid relid)
{
	ObjectAddress object;
	ObjectAddress extension;

	ObjectAddressSet(object, RelationRelationId, relid);
	ObjectAddressSet(extension, ExtensionRelationId, pgt_extension_oid(false));
	recordDependencyOn(&object, &extension, DEPENDENCY_EXTENSION);
	recordExtObjInitPriv(relid, RelationRelationId);
	CommandCounterIncrement();
}

static void
leave_extension(Oid classid, Oid objid)
{
	if (OidIsValid(objid))
		(void) deleteDependencyRecordsForClass(classid, objid, ExtensionRelationId,
											   DEPENDENCY_EXTENSION);
}

/* pg_upgrade makes the row type a member, too, from 18 on. */
void
pgt_extension_release_relation(Oid relid)
{
	leave_extension(RelationRelationId, relid);
	leave_extension(TypeRelationId, get_rel_type_id(relid));
	leave_extension(TypeRelationId, get_array_type(get_rel_type_id(relid)));
	CommandCounterIncrement();
}

/* Nothing happens if it is gone already (DROP OWNED may have been faster). */
void
pgt_extension_drop_relation(Oid relid)
{
	ObjectAddress object;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		return;
	ObjectAddressSet(object, RelationRelationId, relid);
	pgt_extension_release_relation(relid);
	performDeletion(&object, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
}
