/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_fill.c - a schema for libcyaml out of the table, and the values it reads. */
#include "app/config_table.h"
#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

/*
 * What libcyaml fills: one of these for each section of the file, with only that
 * section's keys in it, at the offsets that they have in struct vs_config. That
 * sections are pointers lets them be empty ("metrics:" with all of it commented
 * out), which libcyaml accepts of pointers only.
 */
struct loaded {
	struct vs_config values;
	struct loaded *section[VS_CONFIG_KEY__N]; /* by row */
};

struct schema {
	cyaml_schema_value_t top;
	cyaml_schema_value_t entry[VS_CONFIG_KEY__N]; /* of lists, by row */
	/* each row once, and an end for each mapping */
	cyaml_schema_field_t field[2 * VS_CONFIG_KEY__N + 2];
	uint32_t fields_n;
};

static const cyaml_schema_field_t *mapping_fields(struct schema *s, int section);

static void set_text(cyaml_schema_value_t *v, const struct vs_config_key *k)
{
	v->type = CYAML_STRING;
	v->data_size = k->size;
	v->string.min = 0;
	v->string.max = k->size - 1;
}

static void set_section(struct schema *s, int row, cyaml_schema_value_t *v)
{
	v->type = CYAML_MAPPING;
	v->flags |= CYAML_FLAG_POINTER_NULL_STR;
	v->data_size = sizeof(struct loaded);
	v->mapping.fields = mapping_fields(s, row);
}

static void set_list(struct schema *s, int row, cyaml_schema_field_t *f)
{
	const struct vs_config_key *k = &vs_config_keys[row];
	cyaml_schema_value_t *entry = &s->entry[row];

	entry->data_size = k->size;
	if (k->type == VS_CONFIG_TEXTS) {
		set_text(entry, k);
	} else if (k->type == VS_CONFIG_NUMBERS) {
		entry->type = CYAML_FLOAT;
	} else {
		entry->type = CYAML_MAPPING;
		entry->mapping.fields = mapping_fields(s, row);
	}
	f->count_offset = k->count_offset;
	f->count_size = sizeof(uint32_t);
	f->value.type = CYAML_SEQUENCE;
	f->value.data_size = k->size;
	f->value.sequence.entry = entry;
	f->value.sequence.min = 0;
	f->value.sequence.max = k->entries;
}

static void set_field(struct schema *s, int row, cyaml_schema_field_t *f)
{
	const struct vs_config_key *k = &vs_config_keys[row];

	f->key = vs_config_key_name(k);
	f->data_offset = k->offset;
	f->value.flags = CYAML_FLAG_OPTIONAL;
	f->value.data_size = k->size;
	switch (k->type) {
	case VS_CONFIG_SECTION:
		f->data_offset = (uint32_t)(offsetof(struct loaded, section) +
					    sizeof(struct loaded *) * (size_t)row);
		set_section(s, row, &f->value);
		break;
	case VS_CONFIG_BOOL:
		f->value.type = CYAML_BOOL;
		break;
	case VS_CONFIG_COUNT:
		f->value.type = CYAML_UINT;
		break;
	case VS_CONFIG_NUMBER:
		f->value.type = CYAML_FLOAT;
		break;
	case VS_CONFIG_TEXT:
	case VS_CONFIG_FIELD:
		set_text(&f->value, k);
		break;
	default:
		set_list(s, row, f);
	}
}

static const cyaml_schema_field_t *mapping_fields(struct schema *s, int section)
{
	cyaml_schema_field_t *first = &s->field[s->fields_n];
	uint32_t i = 0;

	/* The block is taken before rows below take theirs; its end has no key. */
	for (int row = 0; row < vs_config_keys_n; row++)
		s->fields_n += vs_config_key_inside(row, section);
	s->fields_n++;
	for (int row = 0; row < vs_config_keys_n; row++)
		if (vs_config_key_inside(row, section))
			set_field(s, row, &first[i++]);
	return first;
}

/* Where libcyaml put the values that stand beside row @row. */
static const struct loaded *beside(const struct loaded *root, int row)
{
	for (int i = 0; i < vs_config_keys_n; i++)
		if (vs_config_keys[i].type == VS_CONFIG_SECTION && vs_config_key_inside(row, i)) {
			const struct loaded *above = beside(root, i);

			return above ? above->section[i] : NULL;
		}
	return root;
}

static int take(const struct loaded *root, const int *lines, struct vs_config *c)
{
	for (int row = 0; row < vs_config_keys_n; row++) {
		const struct vs_config_key *k = &vs_config_keys[row];
		const struct loaded *at;

		if (!lines[row] || k->type == VS_CONFIG_SECTION || k->type == VS_CONFIG_FIELD)
			continue;
		at = beside(root, row);
		if (!at)
			return -EINVAL;
		vs_config_copy(c, &at->values, k->path);
	}
	return 0;
}

int vs_config_fill(const char *bytes, size_t n, const int *lines, struct vs_config *c)
{
	static const cyaml_config_t config = { .mem_fn = cyaml_mem, .flags = CYAML_CFG_NO_ALIAS };
	vs_autofree struct schema *schema = calloc(1, sizeof(*schema));
	cyaml_data_t *data = NULL;
	cyaml_err_t err;
	int r = 0;

	if (!schema)
		return -ENOMEM;
	schema->top.type = CYAML_MAPPING;
	schema->top.flags = CYAML_FLAG_POINTER;
	schema->top.data_size = sizeof(struct loaded);
	schema->top.mapping.fields = mapping_fields(schema, -1);
	err = cyaml_load_data((const uint8_t *)bytes, n, &config, &schema->top, &data, NULL);
	if (err)
		return err == CYAML_ERR_OOM ? -ENOMEM : -EINVAL;
	if (data)
		r = take(data, lines, c);
	(void)cyaml_free(&config, &schema->top, data, 0);
	return r;
}
