/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text.h - text that somebody else wrote: guest names, command lines.
 *
 * Layer:   base
 * State:   none
 * Threads: any
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/**
 * vs_text_utf8() - copy bytes as valid UTF-8, cut at a character's end.
 * @dst:  NUL-terminated on return; never NULL
 * @size: of @dst, at least 4
 * @src:  @len bytes of anything but NUL
 *
 * What is not UTF-8 becomes U+FFFD. Return: bytes written without the NUL.
 */
size_t vs_text_utf8(char *dst, size_t size, const char *src, size_t len);

/* The same for terminals: control characters become \xNN as well. @src must be
 * valid UTF-8 (as vs_text_utf8() leaves it). Return: as above. */
size_t vs_text_printable(char *dst, size_t size, const char *src);

/* Characters (not bytes) of a valid UTF-8 string. */
size_t vs_text_width(const char *s);

bool vs_text_starts(const char *s, const char *prefix);
