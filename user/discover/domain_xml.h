/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * domain_xml.h - libvirt's XML of a domain -> its description. Untrusted text.
 *
 * The XML holds whatever the owner of the VM chose to call things. It is read
 * by libxml2 without network, DTDs or entities; a document with a DTD, which
 * libvirt never sends, is refused.
 *
 * Layer:   discover
 * State:   none; pure
 * Threads: any. Linked into virtscope-libvirt only.
 */
#pragma once
#include "discover/domain.h"

#define VS_DOMAIN_XML_MAX (1024 * 1024) /* real ones have 5 to 50 KiB */

/**
 * vs_domain_xml_parse() - fill in what the XML says.
 * @xml:    @len bytes
 * @labels: what to take from its <metadata>; NULL: nothing
 * @ret:    id, name, uuid, title, memory, balloon, disks, nics and labels are
 *          set; the rest is left alone. Untouched on failure.
 *
 * A label is the text of the first element, or the first attribute, that its
 * path leads to, without white space around it and cut at VS_LABEL_VALUE__N.
 * An element with elements in it has no text; a label without text is left out.
 * Devices beyond VS_DOMAIN_DISK__N and VS_DOMAIN_NIC__N are left out.
 * Return: 0, -E2BIG, -EINVAL if it is no domain, or -ENOMEM. Logs: never.
 */
int vs_domain_xml_parse(const char *xml, size_t len, const struct vs_label_rules *labels,
			struct vs_domain *ret);
