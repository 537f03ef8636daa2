/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uevent.h - KVM announces each VM that it makes or ends, whatever the VMM.
 *
 * Layer:   discover
 * State:   the socket, the caller's
 * Threads: any
 */
#pragma once
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

/* Empties the socket; @fn for each KVM event. Return: 1 if messages were lost. */
int vs_uevent_read(int fd, void (*fn)(void *data, uint32_t pid), void *data);
