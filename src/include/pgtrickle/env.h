/*-------------------------------------------------------------------------
 *
 * env.h
 *	  The pinned execution environment, SPI wrappers and SQL text helpers.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/env.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_ENV_H
#define PGTRICKLE_ENV_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/*
 * Pinned environment: a role, SECURITY_RESTRICTED_OPERATION, and a new GUC
 * nest level in which search_path and every setting that changes the text or
 * value of an expression (TimeZone, DateStyle, IntervalStyle, ...) have the
 * values recorded when the stream table was created.  On error the caller's
 * (sub)transaction abort restores everything.
 */
typedef struct PinnedEnv
{
	Oid			save_userid;
	int			save_sec_context;
	int			save_nestlevel;
} PinnedEnv;

/*
 * settings: text made by pgt_env_capture_settings(), or NULL for the server's
 * boot values of these settings.
 */
extern void pgt_env_enter(PinnedEnv *env, Oid userid, const char *settings);
extern void pgt_env_leave(PinnedEnv *env);
extern char *pgt_env_capture_settings(void);
/* A copy of settings, with what is "on" of the polling settings in other "on" as well. */
extern char *pgt_env_add_polling(const char *settings, const char *other);
extern void pgt_env_set(const char *name, const char *value);	/* within a nest level */

/*
 * Become the owner of the extension (for catalog work and objects of schema
 * pgtrickle_changes), search_path = pg_catalog, pg_temp.  Never run anything
 * derived from a user's query in it.
 */
extern void pgt_env_enter_internal(PinnedEnv *env);

/* SPI: connect, run one or several statements, check; ERROR on failure. */
extern void pgt_spi_execute(const char *sql);
/* The same, the text formatted. */
#define pgt_spi_run(...) pgt_spi_execute(psprintf(__VA_ARGS__))

/* SQL text */
extern char *pgt_quoted_relation_name(Oid relid);	/* schema-qualified, quoted */
extern Oid	pgt_relation_owner(Oid relid);	/* ERROR if there is none */
extern char *pgt_relation_label(Oid relid); /* schema.name unquoted, for messages */
extern char *pgt_attribute_name(Oid relid, AttrNumber attnum);	/* NULL if dropped */
extern char *pgt_quoted_column_list(Oid relid); /* live columns, comma separated */

/* OIDs of our own schemas and extension; ERROR if not installed. */
extern Oid	pgt_schema_oid(void);
extern Oid	pgt_changes_schema_oid(void);
extern Oid	pgt_extension_oid(bool missing_ok);
extern Oid	pgt_extension_owner(void);
/* OID of a relation or function of schema pgtrickle, cached per backend */
extern Oid	pgt_own_relation(const char *name);
extern Oid	pgt_own_function(const char *name);

/* Makes relid a member of the extension / takes it out / takes it out and drops it. */
extern void pgt_extension_adopt_relation(Oid relid);
extern void pgt_extension_release_relation(Oid relid);
extern void pgt_extension_drop_relation(Oid relid);

#endif							/* PGTRICKLE_ENV_H */
