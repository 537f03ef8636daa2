/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a VMM's command line (make fuzz).
 */
#include "discover/cmdline.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *s)
{
	json_t *j = json_string(s); /* NULL unless it is valid UTF-8 */

	if (!j)
		abort();
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vs_cmdline c;

	vs_cmdline_parse((const char *)data, size, &c);
	check(c.name);
	check(c.uuid);
	for (uint32_t i = 0; i < c.images_n; i++) {
		check(c.images[i].path);
		check(c.images[i].target);
	}
	return 0;
}
