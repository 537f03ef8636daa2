/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uevent.h - KVM announces each VM that it makes or ends, whatever the VMM; the
 * kernel each module that is loaded or unloaded.
 *
 * Layer:   discover
 * State:   the socket, the caller's
 * Threads: any
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A non-blocking socket on the kernel's uevents, or -errno. */
int vs_uevent_open(void);

/**
 * vs_uevent_parse() - is this message KVM's, and about which process?
 * @text: @len bytes: "ACTION@PATH" and KEY=VALUE strings, each with its NUL
 *
 * Return: the VMM's pid, or 0.
 */
uint32_t vs_uevent_parse(const char *text, size_t len);

/* Does this message say that a kernel module came or went? */
bool vs_uevent_is_module(const char *text, size_t len);

struct vs_uevent_ops {
	void (*vm)(void *data, uint32_t pid); /* KVM made or ended a VM of this process */
	void (*module)(void *data);	      /* a kernel module came or went */
	void *data;
};

/* Empties the socket. Return: 1 if messages were lost. */
int vs_uevent_read(int fd, const struct vs_uevent_ops *ops);
