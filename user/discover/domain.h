/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * domain.h - a VM as libvirt describes it, and how the description travels.
 *
 * libvirt's client library waits for libvirtd in most of its calls, so it lives
 * in a process of its own, virtscope-libvirt (user/app/libvirt_main.c), which
 * can be killed when libvirtd hangs. It writes struct vs_domain_message to a
 * SOCK_SEQPACKET socket, one each; the probe reads them with discover/libvirt.h.
 * Both are built from this header, and are installed together.
 *
 * Layer:   discover
 * State:   none; descriptions are values
 * Threads: any
 */
#pragma once
#include "discover/cmdline.h"
#include "model/label.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define VS_DOMAIN_DISK__N 16
#define VS_DOMAIN_NIC__N  32
#define VS_MAC__N	  18
#define VS_WORD__N	  24 /* a state, a reason, a cause */

struct vs_domain_disk {
	char target[32]; /* the guest's name for it: "vda" */
	char alias[48];	 /* QEMU's name for it: "virtio-disk0" */
	char path[VS_PATH__N];
};

struct vs_domain_nic {
	char tap[VS_IFNAME__N];
	char alias[32];
	char mac[VS_MAC__N];
};

/* Texts are valid UTF-8 with their NUL, "" if unknown. */
struct vs_domain {
	int32_t id;   /* libvirt's, new with each start */
	uint32_t pid; /* from libvirt's pid file, 0: unknown */
	uint64_t memory_bytes, balloon_bytes; /* 0: unknown */
	char name[VS_NAME__N];
	char uuid[VS_UUID__N];
	char title[VS_NAME__N];
	char state[VS_WORD__N];	 /* "running", "paused", ... */
	char reason[VS_WORD__N]; /* of the state: "booted", "ioerror", ... */
	char cause[VS_WORD__N];	 /* of its start, as in vm.start */
	uint32_t disks_n, nics_n;
	struct vs_domain_disk disks[VS_DOMAIN_DISK__N];
	struct vs_domain_nic nics[VS_DOMAIN_NIC__N];
	uint32_t labels_n;
	struct vs_label labels[VS_LABEL__N]; /* each name once */
};

enum vs_domain_message_type {
	VS_DOMAIN_CONNECTED = 1, /* descriptions of all domains follow, then SYNCED */
	VS_DOMAIN_IS,		 /* .domain: all of it, whatever has changed */
	VS_DOMAIN_SYNCED,
	VS_DOMAIN_GONE,	    /* .domain: uuid, id, reason */
	VS_DOMAIN_IO_ERROR, /* .domain: uuid, id, disks[0]; .text: what QEMU does; .reason */
	VS_DOMAIN_ALIVE,    /* libvirtd has answered just now */
	VS_DOMAIN_LOST,	    /* .text: why there is no connection; it is tried again */
	VS_DOMAIN_TYPE__N,
};

struct vs_domain_message {
	uint32_t type;
	char text[160];
	struct vs_domain domain;
};

/**
 * vs_domain_accept() - is this a message that may be used?
 * @n: bytes received into @m
 *
 * The sender has parsed text of others; so its message is not trusted either.
 * Counts are bounded, each text gets its NUL and becomes UTF-8, names of labels
 * must be such. Return: whether it is one.
 */
bool vs_domain_accept(struct vs_domain_message *m, ssize_t n);

/* The domain's id in the name of the cgroup that libvirt or systemd-machined
 * made for @pid, or -1. Pure part: the text of /proc/PID/cgroup. */
int vs_domain_cgroup_id(uint32_t pid);
int vs_domain_cgroup_parse(const char *text);

/**
 * vs_domain_agrees() - do libvirt, the process and its cgroup tell the same?
 * @facts:     the process's command line
 * @cgroup_id: as of vs_domain_cgroup_id()
 * @ret:       @size bytes: what disagrees, "" if nothing does
 */
bool vs_domain_agrees(const struct vs_domain *d, uint32_t pid, const struct vs_cmdline *facts,
		      int cgroup_id, char *ret, size_t size);
