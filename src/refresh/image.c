/*-------------------------------------------------------------------------
 *
 * image.c
 *	  Row images: heap tuples in which equal rows are equal bytes.
 *
 * The sinks net rows by their binary image.  The same value may come in
 * several forms: compressed, out of line, with a short or a long header, and
 * so again inside composite values.  A value is canonical when it is neither
 * compressed nor out of line, and when the fields of a composite (also as an
 * element of an array) are canonical and formed with the current row type.
 * Image equality is finer than the type's equality: 1.0 and 1.00 differ.
 *
 * The image is a heap tuple ready to be written, zero where heap_fill_tuple
 * pads, so that images are compared and hashed as bytes.
 *
 * IDENTIFICATION
 *	  src/refresh/image.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "pgtrickle/compat.h"

#include "apply_internal.h"

#define ARENA_FIRST_BLOCK	(16 * 1024)
#define ARENA_LARGEST_BLOCK (1024 * 1024)

/* What to do with a varlena value to make it canonical. */
struct Canonical
{
	TupleDesc	row;			/* composite: its fields */
	Canonical **fields;			/* NULL entries: fixed length, always canonical */
	Canonical  *element;		/* array of composites */
	Oid			element_type;
	int16		element_len;
	bool		element_byval;
	char		element_align;
	bool		long_header;	/* plain storage keeps 4-byte headers */
};

/* ---------------------------------------------------------------- arena */

ImageArena *
pgt_arena_create(MemoryContext parent)
{
	ImageArena *arena = MemoryContextAllocZero(parent, sizeof(ImageArena));

	arena->cxt = AllocSetContextCreate(parent, "pg_trickle row images",
									   ALLOCSET_DEFAULT_SIZES);
	arena->block_size = ARENA_FIRST_BLOCK;
	return arena;
}

void
pgt_arena_reset(ImageArena *arena)
{
	if (arena->first != NULL && arena->used == arena->end - arena->first)
	{
		arena->next = arena->first;
		return;
	}
	MemoryContextReset(arena->cxt);
	arena->first = arena->next = arena->end = NULL;
	arena->block_size = ARENA_FIRST_BLOCK;
	arena->used = 0;
}

/* Out of line part of pgt_arena_alloc(): size is aligned and does not fit. */
char *
pgt_arena_alloc_block(ImageArena *arena, Size size)
{
	char	   *block;

	if (size > arena->block_size / 4)
	{
		/* a block of its own; the current one stays in use */
		arena->used += size;
		return MemoryContextAllocHuge(arena->cxt, size);
	}
	block = MemoryContextAlloc(arena->cxt, arena->block_size);
	arena->used += arena->block_size;
	if (arena->first == NULL)
		arena->first = block;
	arena->next = block + size;
	arena->end = block + arena->block_size;
	if (arena->block_size < ARENA_LARGEST_BLOCK)
		arena->block_size *= 2;
	return block;
}

/* ---------------------------------------------------------------- canonical values */

/*
 * In the current context; NULL for types whose values have one form only.
 */
Canonical *
pgt_canonical_create(Oid type, char storage)
{
	Canonical  *c;
	Oid			element;

	type = getBaseType(type);
	if (get_typlen(type) != -1)
		return NULL;
	c = palloc0(sizeof(Canonical));
	c->long_header = (storage == TYPSTORAGE_PLAIN);
	if (get_typtype(type) == TYPTYPE_COMPOSITE)
	{
		TupleDesc	row = lookup_rowtype_tupdesc_copy(type, -1);

		c->row = row;
		c->fields = palloc0(sizeof(Canonical *) * (row->natts + 1));
		for (int i = 0; i < row->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(row, i);

			if (!att->attisdropped)
				c->fields[i] = pgt_canonical_create(att->atttypid, att->attstorage);
		}
	}
	else if (OidIsValid(element = get_element_type(type)))
	{
		Canonical  *e = pgt_canonical_create(element, TYPSTORAGE_EXTENDED);

		/* elements are never compressed themselves: only composites matter */
		if (e != NULL && (e->row != NULL || e->element != NULL))
		{
			c->element = e;
			c->element_type = element;
			get_typlenbyvalalign(element, &c->element_len, &c->element_byval,
								 &c->element_align);
		}
	}
	return c;
}

static Datum
canonical_composite(Canonical *c, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	int			natts = c->row->natts;
	Datum	   *values = palloc(sizeof(Datum) * natts);
	bool	   *isnull = palloc(sizeof(bool) * natts);
	HeapTupleData tuple;

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, c->row, values, isnull);
	for (int i = 0; i < natts; i++)
		if (c->fields[i] != NULL && !isnull[i])
			values[i] = pgt_canonical_value(c->fields[i], values[i]);
	return HeapTupleGetDatum(heap_form_tuple(c->row, values, isnull));
}

static Datum
canonical_array(Canonical *c, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *elements;
	bool	   *isnull;
	int			n;

	deconstruct_array(array, c->element_type, c->element_len, c->element_byval,
					  c->element_align, &elements, &isnull, &n);
	for (int i = 0; i < n; i++)
		if (!isnull[i])
			elements[i] = pgt_canonical_value(c->element, elements[i]);
	return PointerGetDatum(construct_md_array(elements, isnull, ARR_NDIM(array),
											  ARR_DIMS(array), ARR_LBOUND(array),
											  c->element_type, c->element_len,
											  c->element_byval, c->element_align));
}

/* The result may be the value itself, or is made in the current context. */
Datum
pgt_canonical_value(Canonical *c, Datum value)
{
	struct varlena *v = (struct varlena *) DatumGetPointer(value);

	if (c->row != NULL)
		return canonical_composite(c, value);
	if (c->element != NULL)
		return canonical_array(c, value);
	if (VARATT_IS_EXTERNAL(v) || VARATT_IS_COMPRESSED(v) ||
		(c->long_header && VARATT_IS_SHORT(v)))
		return PointerGetDatum(detoast_attr(v));
	return value;
}

/* ---------------------------------------------------------------- images */

/* In the current context. */
ImageFormat *
pgt_image_format_create(TupleDesc desc)
{
	ImageFormat *format = palloc0(sizeof(ImageFormat));

	format->desc = CreateTupleDescCopyConstr(desc);
	format->natts = desc->natts;
	format->columns = palloc(sizeof(int) * (desc->natts + 1));
	format->canonical = palloc(sizeof(Canonical *) * (desc->natts + 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Canonical  *c;

		if (att->attisdropped)
			continue;
		c = pgt_canonical_create(att->atttypid, att->attstorage);
		if (c == NULL)
			continue;
		format->nested |= c->row != NULL || c->element != NULL;
		format->columns[format->ncanonical] = i;
		format->canonical[format->ncanonical++] = c;
	}
	return format;
}

/*
 * Replaces values that are not canonical by ones in the current context; true
 * if there were any.  The arrays are indexed by attnum - 1.
 */
bool
pgt_image_canonicalise(ImageFormat *format, Datum *values, bool *isnull)
{
	bool		changed = false;

	for (int i = 0; i < format->ncanonical; i++)
	{
		int			col = format->columns[i];
		Datum		value;

		if (isnull[col])
			continue;
		value = pgt_canonical_value(format->canonical[i], values[col]);
		if (value != values[col])
		{
			values[col] = value;
			changed = true;
		}
	}
	return changed;
}

/* Forms an image of canonical values in the arena; next and weight are unset. */
RowImage *
pgt_image_form(ImageFormat *format, ImageArena *arena, Datum *values, bool *isnull)
{
	int			natts = format->natts;
	bool		hasnull = false;
	Size		header = SizeofHeapTupleHeader;
	Size		data;
	RowImage   *image;
	HeapTupleHeader tuple;

	if (unlikely(natts > MaxTupleAttributeNumber))
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("number of columns (%d) exceeds limit (%d)",
						natts, MaxTupleAttributeNumber)));
	for (int i = 0; i < natts; i++)
	{
		if (isnull[i])
		{
			hasnull = true;
			break;
		}
	}
	if (hasnull)
		header += BITMAPLEN(natts);
	header = MAXALIGN(header);
	data = heap_compute_data_size(format->desc, values, isnull);

	image = (RowImage *) pgt_arena_alloc(arena, RowImageSize(header + data));
	image->len = header + data;
	tuple = &image->tuple;
	memset(tuple, 0, image->len);
	HeapTupleHeaderSetNatts(tuple, natts);
	tuple->t_hoff = header;
	ItemPointerSetInvalid(&tuple->t_ctid);
	heap_fill_tuple(format->desc, values, isnull, (char *) tuple + header, data,
					&tuple->t_infomask, hasnull ? tuple->t_bits : NULL);
	return image;
}

/* Are the canonical forms of two rows the same? */
bool
pgt_image_equal_values(TupleDesc desc, Datum *a, bool *anull, Datum *b, bool *bnull)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (anull[i] != bnull[i])
			return false;
		if (anull[i])
			continue;
		if (att->attbyval)
		{
			/* compare what is stored: upper bits of a Datum may differ */
			Datum		x = 0;
			Datum		y = 0;

			store_att_byval(&x, a[i], att->attlen);
			store_att_byval(&y, b[i], att->attlen);
			if (x != y)
				return false;
		}
		else if (!datum_image_eq(a[i], b[i], false, att->attlen))
			return false;
	}
	return true;
}

/*
 * Does the stored row equal the image?  image_slot is a slot of
 * TTSOpsHeapTuple that shows the image.  May leave garbage in the current
 * context when values had to be made canonical.
 */
bool
pgt_image_is_stored_row(ImageFormat *format, RowImage *image,
						TupleTableSlot *image_slot, TupleTableSlot *stored)
{
	bool		equal;

	if (TTS_IS_BUFFERTUPLE(stored) || TTS_IS_HEAPTUPLE(stored))
	{
		HeapTuple	tuple = ((HeapTupleTableSlot *) stored)->tuple;

		if (tuple != NULL && tuple->t_len == image->len &&
			tuple->t_data->t_hoff == image->tuple.t_hoff &&
			HeapTupleHeaderGetNatts(tuple->t_data) == format->natts)
		{
			uint32		skip = offsetof(HeapTupleHeaderData, t_bits);

			if (HeapTupleHasNulls(tuple) == ((image->tuple.t_infomask & HEAP_HASNULL) != 0) &&
				memcmp((char *) tuple->t_data + skip, (char *) &image->tuple + skip,
					   image->len - skip) == 0)
				return true;
		}
	}
	slot_getallattrs(stored);
	slot_getallattrs(image_slot);
	if (format->ncanonical == 0)
		return pgt_image_equal_values(format->desc, stored->tts_values, stored->tts_isnull,
									  image_slot->tts_values, image_slot->tts_isnull);
	else
	{
		Datum	   *values = palloc(sizeof(Datum) * format->natts);

		memcpy(values, stored->tts_values, sizeof(Datum) * format->natts);
		pgt_image_canonicalise(format, values, stored->tts_isnull);
		equal = pgt_image_equal_values(format->desc, values, stored->tts_isnull,
									   image_slot->tts_values, image_slot->tts_isnull);
		pfree(values);
	}
	return equal;
}
