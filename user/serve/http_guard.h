/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http_guard.h - where the HTTP server may listen, and who may ask.
 *
 * On this host's own addresses anybody may. Elsewhere only with TLS, so that the
 * token cannot be read on the way, and with a token, so that not everybody gets
 * to know which VMs there are.
 *
 * Layer:   serve
 * State:   struct vs_http_guard
 * Threads: one
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VS_TOKEN_MIN 16

struct vs_http_options;

struct vs_http_guard {
	char *certificate, *key; /* PEM; NULL: no TLS */
	char *token;		 /* NULL: everybody may */
	size_t token_len;
	int fd; /* listens */
	uint16_t port; /* at */
};

/* Is @listen an address and a port to listen at? @ret_own: whether nobody but this
 * host can reach it; may be NULL. Return: 0 or -EINVAL. Logs: never. */
int vs_http_guard_address(const char *listen, bool *ret_own);

/**
 * vs_http_guard_open() - read the files, check what they allow, and listen.
 *
 * Return: 0, or -errno with nothing to close: -EINVAL (address not understood),
 * -EACCES (not without TLS and token; a secret that others can read), …
 * Logs: yes, with what to do.
 */
int vs_http_guard_open(const struct vs_http_options *options, struct vs_http_guard *ret);
/* The descriptor is closed unless it was taken (-1). Secrets are wiped. */
void vs_http_guard_close(struct vs_http_guard *guard);

/* @authorization: the header, may be NULL. Takes the same time wherever a wrong
 * token differs. */
bool vs_http_guard_admits(const struct vs_http_guard *guard, const char *authorization);
