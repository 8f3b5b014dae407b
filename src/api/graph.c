/*-------------------------------------------------------------------------
 *
 * graph.c
 *	  The dependency graph as users see it: drawings, diamonds, cycles.
 *
 * IDENTIFICATION
 *	  src/api/graph.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "pgtrickle/env.h"
#include "pgtrickle/graph.h"

#include "api_internal.h"

PG_FUNCTION_INFO_V1(pgt_explain_dag);
PG_FUNCTION_INFO_V1(pgt_diamond_groups);
PG_FUNCTION_INFO_V1(pgt_scc_status);

static void
put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* ---- explain_dag ---- */

/*
 * text within double quotes: mermaid knows character entities, dot backslashes.
 * Either understands backslash-n or <br/> as a new line, which the caller adds.
 */
static void
append_quoted(StringInfo buf, const char *text, bool dot)
{
	for (const char *p = text; *p; p++)
	{
		if (dot && (*p == '"' || *p == '\\'))
			appendStringInfo(buf, "\\%c", *p);
		else if (!dot && *p == '"')
			appendStringInfoString(buf, "#quot;");
		else if (!dot && *p == '#')
			appendStringInfoString(buf, "#35;");
		else if (!dot && *p == '<')
			appendStringInfoString(buf, "#lt;");
		else if (!dot && *p == '>')
			appendStringInfoString(buf, "#gt;");
		else if (*p == '\n' || *p == '\r')
			appendStringInfoChar(buf, ' ');
		else
			appendStringInfoChar(buf, *p);
	}
}

static const char *
schedule_text(const StreamTable *st)
{
	return st->schedule ? st->schedule : "by hand";
}

static void
draw_node(StringInfo buf, const CatalogGraph *graph, int i, bool dot)
{
	const StreamTable *st = graph->tables[i];
	char	   *label = pgt_relation_label(graph->relids[i]);

	if (dot)
	{
		appendStringInfo(buf, "  n%d [label=\"", i);
		append_quoted(buf, label, dot);
		if (st)
		{
			appendStringInfo(buf, "\\n%s, %s, ", pgt_mode_name(st->refresh_mode),
							 pgt_status_name(st->status));
			append_quoted(buf, schedule_text(st), dot);
		}
		appendStringInfo(buf, "\", shape=%s];\n", st ? "box" : "cylinder");
	}
	else
	{
		appendStringInfo(buf, "  n%d%s\"", i, st ? "[" : "[(");
		append_quoted(buf, label, dot);
		if (st)
		{
			appendStringInfo(buf, "<br/>%s, %s, ", pgt_mode_name(st->refresh_mode),
							 pgt_status_name(st->status));
			append_quoted(buf, schedule_text(st), dot);
		}
		appendStringInfo(buf, "\"%s\n", st ? "]" : ")]");
	}
}

static void
draw_edges(StringInfo buf, const CatalogGraph *graph, bool dot)
{
	for (int i = 0; i < graph->nnodes; i++)
	{
		int			e = -1;
		int			to;

		while ((to = pgt_dag_next_reader(graph->dag, i, &e)) >= 0)
			appendStringInfo(buf, dot ? "  n%d -> n%d;\n" : "  n%d --> n%d\n", i, to);
	}
}

/* The stream tables of a diamond group in a frame of their own. */
static void
draw_frames(StringInfo buf, const DagAnalysis *a, bool dot)
{
	for (int g = 0; g < a->ngroups; g++)
	{
		if (dot)
			appendStringInfo(buf, "  subgraph cluster_%d {\n    label=\"diamond group %d\";\n   ",
							 g + 1, g + 1);
		else
			appendStringInfo(buf, "  subgraph diamond%d [\"diamond group %d\"]\n", g + 1, g + 1);
		for (int i = 0; i < a->nnodes; i++)
			if (a->group[i] == g)
				appendStringInfo(buf, dot ? " n%d;" : "    n%d\n", i);
		appendStringInfoString(buf, dot ? "\n  }\n" : "  end\n");
	}
}

Datum
pgt_explain_dag(PG_FUNCTION_ARGS)
{
	char	   *format = pgt_api_text_arg(fcinfo, 0, "format", true);
	bool		dot = pg_strcasecmp(format, "dot") == 0;
	CatalogGraph *graph;
	DagAnalysis *a;
	StringInfoData buf;

	if (!dot && pg_strcasecmp(format, "mermaid") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid format: \"%s\"", format),
				 errhint("Valid values are \"mermaid\" and \"dot\".")));
	graph = pgt_graph_load();
	a = pgt_dag_analyze(graph->dag);
	initStringInfo(&buf);
	appendStringInfoString(&buf, dot ? "digraph stream_tables {\n  rankdir=LR;\n" :
						   "flowchart LR\n");
	for (int i = 0; i < a->nnodes; i++)
		draw_node(&buf, graph, a->order[i], dot);
	draw_frames(&buf, a, dot);
	draw_edges(&buf, graph, dot);
	if (dot)
		appendStringInfoString(&buf, "}\n");
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len - 1));
}

/* ---- diamond_groups ---- */

Datum
pgt_diamond_groups(PG_FUNCTION_ARGS)
{
	CatalogGraph *graph = pgt_graph_load();
	DagAnalysis *a = pgt_dag_analyze(graph->dag);
	bool	   *atomic = palloc(sizeof(bool) * Max(a->ngroups, 1));
	bool	   *slowest = palloc(sizeof(bool) * Max(a->ngroups, 1));

	InitMaterializedSRF(fcinfo, 0);
	for (int g = 0; g < a->ngroups; g++)
	{
		atomic[g] = pgt_graph_is_atomic(graph, a, g);
		slowest[g] = pgt_graph_is_slowest(graph, a, g);
	}
	for (int i = 0; i < a->nnodes; i++)
	{
		int			node = a->order[i];
		int			g = a->group[node];
		Oid			relid = graph->relids[node];
		Datum		values[6];
		bool		nulls[6] = {0};

		if (g < 0)
			continue;
		values[0] = Int32GetDatum(g + 1);
		values[1] = CStringGetTextDatum(get_rel_name(relid));
		values[2] = CStringGetTextDatum(get_namespace_name(get_rel_namespace(relid)));
		values[3] = BoolGetDatum(a->convergence[node]);
		values[4] = CStringGetTextDatum(atomic[g] ? "atomic" : "none");
		values[5] = CStringGetTextDatum(slowest[g] ? "slowest" : "fastest");
		put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/* ---- pgt_scc_status ---- */

/* The cycle that begins at a->order[first]; fills the row. */
static void
describe_cycle(const CatalogGraph *graph, const DagAnalysis *a, int first, Datum *values,
			   bool *nulls)
{
	int			component = a->component[a->order[first]];
	int			size = a->component_size[component];
	Datum	   *members = palloc(sizeof(Datum) * size);
	RefreshState *state = NULL;

	/* members of a component follow each other in order[] */
	for (int i = 0; i < size; i++)
	{
		const StreamTable *st = graph->tables[a->order[first + i]];
		RefreshState *theirs = pgt_catalog_get_refresh_state(st->pgt_id, false);

		members[i] = CStringGetTextDatum(pgt_quoted_relation_name(st->relid));
		if (state == NULL || theirs->last_converged_at > state->last_converged_at)
			state = theirs;
	}
	values[1] = Int32GetDatum(size);
	values[2] = PointerGetDatum(construct_array(members, size, TEXTOID, -1, false,
												TYPALIGN_INT));
	nulls[3] = nulls[4] = state->last_converged_at == 0;
	values[3] = Int32GetDatum(state->last_fixpoint_iterations);
	values[4] = TimestampTzGetDatum(state->last_converged_at);
}

Datum
pgt_scc_status(PG_FUNCTION_ARGS)
{
	CatalogGraph *graph = pgt_graph_load();
	DagAnalysis *a = pgt_dag_analyze(graph->dag);
	int			ncycles = 0;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < a->nnodes; i += a->component_size[a->component[a->order[i]]])
	{
		Datum		values[5];
		bool		nulls[5] = {0};

		if (!a->cyclic[a->component[a->order[i]]])
			continue;
		values[0] = Int32GetDatum(++ncycles);
		describe_cycle(graph, a, i, values, nulls);
		put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}
