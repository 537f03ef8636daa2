/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - messages for the operator, one line each, on stderr.
 *
 * A failure is logged once, by the function that knows the noun: what failed,
 * on what, why, and what to do next. Text of others (names, command lines) is
 * passed through vs_text_printable() first.
 *
 * Layer:   base
 * State:   the level, set once by main()
 * Threads: main
 */
#pragma once

enum vs_log_level { VS_LOG_ERROR, VS_LOG_WARN, VS_LOG_INFO, VS_LOG_DEBUG };

void vs_log_set_level(enum vs_log_level level);
enum vs_log_level vs_log_level(void);

/* Writes "virtscope: <message>\n"; errno is preserved. */
void vs_log(enum vs_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define vs_error(...) vs_log(VS_LOG_ERROR, __VA_ARGS__)
#define vs_warn(...)  vs_log(VS_LOG_WARN, __VA_ARGS__)
#define vs_info(...)  vs_log(VS_LOG_INFO, __VA_ARGS__)
#define vs_debug(...) vs_log(VS_LOG_DEBUG, __VA_ARGS__)

/* Logs an error and yields -errno; for "return vs_fail(errno, ...)". */
#define vs_fail(err, ...)                    \
	({                                   \
		int fail_ = (err);           \
		vs_log(VS_LOG_ERROR, __VA_ARGS__); \
		-(fail_ < 0 ? -fail_ : fail_);     \
	})
