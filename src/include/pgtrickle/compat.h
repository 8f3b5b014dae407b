/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18.
 *
 * The only place for PG_VERSION_NUM.  Shims carry the newest supported
 * server's name and signature.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_COMPAT_H
#define PGTRICKLE_COMPAT_H

/* 18: pg_noreturn before the declaration, not pg_attribute_noreturn() after */
#if PG_VERSION_NUM < 180000
#define pg_noreturn _Noreturn
#endif

#endif							/* PGTRICKLE_COMPAT_H */
