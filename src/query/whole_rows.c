/*-------------------------------------------------------------------------
 *
 * whole_rows.c
 *	  Rows as a whole (t, or t.*, as one value) as row constructors.
 *
 * What a relation of the query becomes may be another row source, with other columns;
 * a constructor over its columns stands over any.
 *
 * IDENTIFICATION
 *	  src/query/whole_rows.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "convert_internal.h"

static Node *
make_row(const Var *var, RangeTblEntry *rte, RteMap *map)
{
	RowExpr    *row = makeNode(RowExpr);

	row->row_typeid = var->vartype;
	row->row_format = COERCE_EXPLICIT_CAST;
	row->location = -1;
	if (map->input > 0 && rte->rtekind == RTE_RELATION)
	{
		Relation	rel = table_open(rte->relid, AccessShareLock);
		TupleDesc	desc = RelationGetDescr(rel);

		for (int i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i);
			Expr	   *field;

			if (att->attisdropped)
				field = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
			else
				field = (Expr *) makeVar(map->input, pgt_convert_input_column(map, att->attnum), att->atttypid,
										 att->atttypmod, att->attcollation, 0);
			row->args = lappend(row->args, field);
			row->colnames = lappend(row->colnames,
									makeString(pstrdup(NameStr(att->attname))));
		}
		table_close(rel, NoLock);
	}
	else
	{
		ListCell   *name = list_head(rte->eref->colnames);
		ListCell   *lc;

		foreach(lc, map->exprs)
		{
			row->args = lappend(row->args, copyObject(lfirst(lc)));
			row->colnames = lappend(row->colnames,
									makeString(pstrdup(name ? strVal(lfirst(name)) : "?column?")));
			if (name)
				name = lnext(rte->eref->colnames, name);
		}
	}
	return (Node *) row;
}

/*
 * Has a made-up row two columns of one name?  In a text the server gives one of them
 * another, which to_jsonb() would show.
 */
static bool
has_repeated_names(const RowExpr *row)
{
	ListCell   *lc,
			   *lc2;

	if (row->row_typeid != RECORDOID)
		return false;
	foreach(lc, row->colnames)
		for_each_cell(lc2, row->colnames, lnext(row->colnames, lc))
			if (strcmp(strVal(lfirst(lc)), strVal(lfirst(lc2))) == 0)
				return true;
	return false;
}

Node *
pgt_convert_whole_row(Conversion *cv, const Var *var, RangeTblEntry *rte, RteMap *map)
{
	Node	   *row = make_row(var, rte, map);

	if (has_repeated_names((RowExpr *) row))
	{
		pgt_convert_unsupported(cv, "row_of_repeated_names",
								"a row in which two columns have the same name cannot be maintained differentially",
								"Give the columns names of their own; " OR_FULL);
		pgt_convert_place(cv, InvalidOid, InvalidOid, var->location);
	}
	return row;
}

/*
 * Is a row NULL?  The planner asks that of each field of a row constructor, and would ask
 * it of dropped columns, too.
 */
void
pgt_convert_leave_out_dropped(RowExpr *row)
{
	TupleDesc	desc;
	List	   *args = NIL;

	if (row->row_typeid == RECORDOID)
		return;
	desc = lookup_rowtype_tupdesc(row->row_typeid, -1);
	for (int i = 0; i < list_length(row->args); i++)
		if (i >= desc->natts || !TupleDescAttr(desc, i)->attisdropped)
			args = lappend(args, list_nth(row->args, i));
	ReleaseTupleDesc(desc);
	row->args = args;
	row->row_typeid = RECORDOID;
	row->row_format = COERCE_EXPLICIT_CALL;
	row->colnames = NIL;
}
