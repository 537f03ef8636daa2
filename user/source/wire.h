/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h - a sample as bytes, on its way from the probe process to the daemon.
 *
 * Both are one binary, so records go as they lie in memory; their sizes are
 * checked all the same, so that a process left from before an upgrade is
 * noticed. Pointers become numbers of texts and of disks' descriptions, which
 * follow the records. A new pointer in struct vs_sample needs a place here.
 *
 * The decoder believes nothing: each count, number, bool and enum is checked in
 * memory of its own, after the copy, so that a writer that goes on writing
 * cannot change what was checked. Fixed texts are cut at their last byte.
 *
 * Layer:   source
 * State:   struct vs_wire_names: every text and description seen so far; samples
 *          point into it
 * Threads: any, one per names object
 */
#pragma once
#include "model/deep.h"
#include "model/sample.h"

struct vs_wire_names;

/* More different texts than this are not a host's but a writer's that is broken. */
#define VS_WIRE_NAMES__N 262144
#define VS_WIRE_TEXT__N	 256 /* of one text, with NUL; longer ones are cut */

/* Return: 0 or -ENOMEM. */
int vs_wire_names_new(struct vs_wire_names **ret);
/* What samples point to goes with it. */
void vs_wire_names_free(struct vs_wire_names **names);

/**
 * vs_wire_encode() - write a sample into @buffer.
 * @size:    of @buffer in bytes; @buffer is aligned to 8, or NULL if @size is 0
 * @ret_len: bytes used, or needed; always set, but for -EINVAL
 *
 * Allocates nothing. Return: 0, -ENOSPC if @size is less than @ret_len (what the
 * buffer holds then means nothing), -EINVAL if a disk has no description.
 */
int vs_wire_encode(const struct vs_sample *s, void *buffer, size_t size, size_t *ret_len);

/**
 * vs_wire_decode() - read a sample out of @len @bytes.
 * @ret:   overwritten; its arrays keep their memory, so that a steady state
 *         allocates nothing. Empty on failure
 * @names: must live as long as @ret's contents are used
 *
 * Return: 0, -EBADMSG if the bytes are no sample, -EPROTONOSUPPORT if they are
 * another version's, -ENOMEM.
 */
int vs_wire_decode(const void *bytes, size_t len, struct vs_wire_names *names,
		   struct vs_sample *ret);

/* The same for a look at the deep window, which has no pointers. @ret of the
 * decoder is one that vs_deep_sample_done() was called on, or zeroed. */
int vs_wire_encode_deep(const struct vs_deep_sample *s, void *buffer, size_t size, size_t *ret_len);
int vs_wire_decode_deep(const void *bytes, size_t len, struct vs_deep_sample *ret);
