/*-------------------------------------------------------------------------
 *
 * reason.c
 *	  Reasons why a query cannot be served, as values and as errors.
 *
 * IDENTIFICATION
 *	  src/common/reason.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgtrickle/types.h"

/*
 * A reason for FULL mode only, FEATURE_NOT_SUPPORTED; the caller changes the
 * struct where that is not it.  Strings are not copied.  Result in the current
 * memory context.
 */
UnsupportedReason *
pgt_reason_make(const char *code, int location,
				char *message, char *detail, char *hint)
{
	UnsupportedReason *reason = palloc0(sizeof(UnsupportedReason));

	reason->code = code;
	reason->sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED;
	reason->message = message;
	reason->detail = detail;
	reason->hint = hint;
	reason->location = location;
	return reason;
}

/* "text" as a sentence: first letter in upper case, final period. */
static char *
as_sentence(const char *text)
{
	char	   *s = psprintf("%s.", text);

	s[0] = pg_toupper((unsigned char) s[0]);
	return s;
}

/*
 * A reason that holds in all modes is its own error message.  Otherwise the
 * message says what was asked for, and the reason becomes the detail.
 * stname may be NULL.  The location counts characters when the error position
 * has to be right for multi-byte text; whoever knows the text converts it.
 */
void
pgt_reason_throw(const UnsupportedReason *reason, const char *stname)
{
	char	   *detail = reason->detail;

	if (reason->all_modes)
		ereport(ERROR,
				(errcode(reason->sqlstate),
				 errmsg("%s", reason->message),
				 detail ? errdetail("%s", detail) : 0,
				 reason->hint ? errhint("%s", reason->hint) : 0,
				 reason->location >= 0 ? errposition(reason->location + 1) : 0));

	detail = detail ? psprintf("%s %s", as_sentence(reason->message), detail) :
		as_sentence(reason->message);
	ereport(ERROR,
			(errcode(reason->sqlstate),
			 stname ? errmsg("cannot maintain stream table \"%s\" differentially", stname) :
			 errmsg("cannot maintain the query differentially"),
			 errdetail("%s", detail),
			 reason->hint ? errhint("%s", reason->hint) :
			 errhint("Use refresh mode AUTO or FULL."),
			 reason->location >= 0 ? errposition(reason->location + 1) : 0));
}
