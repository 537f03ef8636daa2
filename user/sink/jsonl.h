/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jsonl.h - the sink that writes one JSON object a line: to a file, or to stdout.
 *
 * A file is appended to, made with mode 0640 and given to the group virtscope
 * where that exists. It is rotated by size (FILE becomes FILE.1, that FILE.2, …)
 * or by somebody else, who renames it and sends SIGHUP. Each line is in exactly
 * one of these files. A file that is deleted, or whose directory is, is made
 * again as soon as that is possible.
 *
 * A line is written by one write(): a reader never sees half of one unless the
 * disk is full, and then the half is cut off again. Where it cannot be cut off,
 * in a pipe whose reader is slow, the other half goes out before the next line.
 *
 * Layer:   sink
 * State:   one struct vs_sink per file
 * Threads: one
 */
#pragma once
#include "sink/sink.h"

#include <stdint.h>

#define VS_JSONL_MAX_BYTES (64u << 20)
#define VS_JSONL_KEEP	   4

struct vs_jsonl_options {
	const char *path;   /* "-": stdout */
	uint64_t max_bytes; /* a file is rotated before it would exceed it; 0: never */
	uint32_t keep;	    /* older files, FILE.1 to FILE.N; 0: none */
};

/**
 * vs_jsonl_open() - open the file, or make it.
 *
 * A pipe (by name or as stdout) is written without waiting for its reader; one
 * by name that nobody reads yet is opened when somebody does.
 *
 * Return: 0 or -errno. Logs: yes.
 */
int vs_jsonl_open(const struct vs_jsonl_options *options, struct vs_sink **ret);

extern const struct vs_sink_ops vs_sink_jsonl;
