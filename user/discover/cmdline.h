/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmdline.h - what a VMM's command line says about its guest. Untrusted text.
 *
 * Layer:   discover
 * State:   none; pure, fuzzable
 * Threads: any
 */
#pragma once
#include "model/sample.h"

#include <stdbool.h>

struct vs_cmdline {
	char name[VS_NAME__N]; /* valid UTF-8, "" if not given */
	char uuid[VS_UUID__N];
	const char *incoming; /* static: "migrated_in", "restored", or NULL */
	uint32_t vcpus;	      /* 0: not given */
	uint64_t memory_bytes; /* 0: not given */
	bool asks_only;	      /* a QEMU without a machine: it is asked what it can do */
	uint32_t images_n;
	struct vs_image images[VS_IMAGE__N];
};

/**
 * vs_cmdline_parse() - read QEMU's options from /proc/PID/cmdline.
 * @text: @len bytes, arguments separated by NUL; may be cut anywhere
 *
 * Unknown options and other VMMs' lines leave fields empty.
 */
void vs_cmdline_parse(const char *text, size_t len, struct vs_cmdline *ret);
