/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/domain_xml.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "discover/domain_label.h"

#include <errno.h>
#include <inttypes.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <string.h>

static void free_doc(xmlDocPtr *doc)
{
	xmlFreeDoc(*doc);
}

static void free_context(xmlXPathContextPtr *context)
{
	xmlXPathFreeContext(*context);
}

static void free_object(xmlXPathObjectPtr *object)
{
	if (*object)
		xmlXPathFreeObject(*object);
}

/* What @path says below @node ("" if nothing) as clean text. */
static void text_at(xmlXPathContextPtr context, xmlNodePtr node, const char *path, char *dst,
		    size_t size)
{
	char expression[96];
	vs_cleanup(free_object) xmlXPathObjectPtr object = NULL;

	dst[0] = '\0';
	(void)snprintf(expression, sizeof(expression), "string(%s)", path);
	(void)xmlXPathSetContextNode(node, context);
	object = xmlXPathEvalExpression(BAD_CAST expression, context);
	if (object && object->type == XPATH_STRING && object->stringval)
		(void)vs_text_utf8(dst, size, (const char *)object->stringval,
				   strlen((const char *)object->stringval));
}
#define TEXT_AT(context, node, path, field) text_at(context, node, path, field, sizeof(field))

/* libvirt writes KiB always; anything else is not understood. */
static uint64_t memory_at(xmlXPathContextPtr context, xmlNodePtr root, const char *name)
{
	char text[24], unit[8], path[32];
	uint64_t kib;

	TEXT_AT(context, root, name, text);
	(void)snprintf(path, sizeof(path), "%s/@unit", name);
	TEXT_AT(context, root, path, unit);
	if ((*unit && strcmp(unit, "KiB") != 0) || sscanf(text, "%" SCNu64, &kib) != 1 ||
	    kib > UINT64_MAX >> 12)
		return 0;
	return kib * 1024;
}

static xmlXPathObjectPtr devices(xmlXPathContextPtr context, xmlNodePtr root, const char *path)
{
	(void)xmlXPathSetContextNode(root, context);
	return xmlXPathEvalExpression(BAD_CAST path, context);
}

/* File, block device, directory; else protocol and name of a network disk. */
static void read_source(xmlXPathContextPtr context, xmlNodePtr node, char dst[VS_PATH__N])
{
	static const char *const places[] = { "source/@file", "source/@dev", "source/@dir" };
	char protocol[24], name[VS_PATH__N - 24];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		text_at(context, node, places[i], dst, VS_PATH__N);
		if (*dst)
			return;
	}
	TEXT_AT(context, node, "source/@protocol", protocol);
	TEXT_AT(context, node, "source/@name", name);
	if (*protocol)
		(void)snprintf(dst, VS_PATH__N, "%s:%s", protocol, name);
}

static void read_disks(xmlXPathContextPtr context, xmlNodePtr root, struct vs_domain *d)
{
	vs_cleanup(free_object) xmlXPathObjectPtr found = devices(context, root, "devices/disk");

	if (!found || !found->nodesetval)
		return;
	for (int i = 0; i < found->nodesetval->nodeNr && d->disks_n < VS_DOMAIN_DISK__N; i++) {
		xmlNodePtr node = found->nodesetval->nodeTab[i];
		struct vs_domain_disk *disk = &d->disks[d->disks_n];

		TEXT_AT(context, node, "target/@dev", disk->target);
		TEXT_AT(context, node, "alias/@name", disk->alias);
		read_source(context, node, disk->path);
		/* A drive without a medium is a disk, too; one without a target
		 * is none that libvirt made. */
		if (*disk->target)
			d->disks_n++;
	}
}

static void read_nics(xmlXPathContextPtr context, xmlNodePtr root, struct vs_domain *d)
{
	vs_cleanup(free_object) xmlXPathObjectPtr found =
		devices(context, root, "devices/interface");

	if (!found || !found->nodesetval)
		return;
	for (int i = 0; i < found->nodesetval->nodeNr && d->nics_n < VS_DOMAIN_NIC__N; i++) {
		xmlNodePtr node = found->nodesetval->nodeTab[i];
		struct vs_domain_nic *nic = &d->nics[d->nics_n++];

		TEXT_AT(context, node, "target/@dev", nic->tap);
		TEXT_AT(context, node, "alias/@name", nic->alias);
		TEXT_AT(context, node, "mac/@address", nic->mac);
	}
}

int vs_domain_xml_parse(const char *xml, size_t len, const struct vs_label_rules *labels,
			struct vs_domain *ret)
{
	vs_cleanup(free_doc) xmlDocPtr doc = NULL;
	vs_cleanup(free_context) xmlXPathContextPtr context = NULL;
	vs_autofree struct vs_domain *d = NULL;
	xmlNodePtr root;
	char id[16];

	if (len > VS_DOMAIN_XML_MAX)
		return -E2BIG;
	/* Neither HUGE (the library's own limits stay) nor NOENT (entities are
	 * not put in place). */
	doc = xmlReadMemory(xml, (int)len, NULL, NULL,
			    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	root = doc ? xmlDocGetRootElement(doc) : NULL;
	if (!root || doc->intSubset || doc->extSubset || xmlStrcmp(root->name, BAD_CAST "domain"))
		return -EINVAL;
	context = xmlXPathNewContext(doc);
	d = calloc(1, sizeof(*d));
	if (!context || !d)
		return -ENOMEM;
	*d = *ret;
	d->disks_n = d->nics_n = 0;
	memset(d->disks, 0, sizeof(d->disks));
	memset(d->nics, 0, sizeof(d->nics));
	TEXT_AT(context, root, "@id", id);
	d->id = *id ? (int32_t)strtol(id, NULL, 10) : -1;
	TEXT_AT(context, root, "name", d->name);
	TEXT_AT(context, root, "uuid", d->uuid);
	TEXT_AT(context, root, "title", d->title);
	if (!*d->name || strlen(d->uuid) != VS_UUID__N - 1)
		return -EINVAL;
	d->memory_bytes = memory_at(context, root, "memory");
	d->balloon_bytes = memory_at(context, root, "currentMemory");
	read_disks(context, root, d);
	read_nics(context, root, d);
	vs_domain_label_read(root, labels, d);
	*ret = *d;
	return 0;
}
