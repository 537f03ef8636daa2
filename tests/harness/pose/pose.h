/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pose - what the programs that act as VMs have in common
 *
 * They are driven over stdin: one command a line, NAME [WORD] [KEY=VALUE]..., one
 * JSON object a line in reply, {"ok":true,...} or {"ok":false,"error":...}. This
 * is the loop that reads them, their arguments and their replies; clocks; and the
 * stamp that packet_gen and the drivers put into each frame.
 *
 * Threads: one. State: what was read of stdin and is not a whole line yet.
 */
#ifndef POSE_POSE_H
#define POSE_POSE_H

#include <stdbool.h>
#include <stdint.h>

#define POSE_ARG__N		16
#define POSE_NS_PER_MS		1000000ull
#define POSE_NS_PER_S		1000000000ull
#define POSE_ETH_BYTES		14
#define POSE_STAMP_MAGIC	0x56535047u

/* Stands behind the Ethernet header. */
struct pose_stamp {
	uint32_t magic;
	uint32_t seq;
	uint64_t sent_ns;	/* CLOCK_MONOTONIC */
} __attribute__((packed));

struct pose_args {
	const char *word;	/* the argument without '=', or NULL */
	char *key[POSE_ARG__N];
	char *val[POSE_ARG__N];
	int n;
};

struct pose_command {
	const char *name;
	void (*run)(const struct pose_args *args);	/* replies exactly once */
	const char *help;
};

uint64_t pose_now_ns(void);
void pose_sleep_ms(uint64_t ms);

/* Borrowed from the line; @fallback where the key is absent. */
const char *pose_arg(const struct pose_args *args, const char *key, const char *fallback);
uint64_t pose_arg_u64(const struct pose_args *args, const char *key, uint64_t fallback);

/* "WHAT: strerror(ERR)" */
void pose_reply_error(const char *what, int err);
/* The same with the text made by the caller, who knows what to do about it. */
void pose_reply_failure(int err, const char *text);
void pose_reply_ok(void);

/*
 * Fills in the Ethernet header from dst=, src= and type=. Returns 0 or -EINVAL.
 */
int pose_eth_fill(const struct pose_args *args, unsigned char eth[POSE_ETH_BYTES]);

/* One line a command, for --help. */
void pose_commands_print(const struct pose_command *commands, int n);

/*
 * Runs commands until stdin ends or "quit" comes. @wait_input returns once stdin
 * is readable; until then it does what the program does between commands.
 * Returns the exit status.
 */
int pose_serve(const struct pose_command *commands, int n, void (*wait_input)(void));

#endif
