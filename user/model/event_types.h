/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event_types.h - every type of event: one row each.
 *
 * Documented one by one in docs/EVENTS.md, described in docs/event.schema.json;
 * tests/unit/test_model_event_types.c holds the three together.
 *
 * Layer:   model
 * State:   none
 * Threads: any
 *
 * To add one: 1. a row below, with a new id (`journalctl --new-id128`);
 * 2. a section in EVENTS.md; 3. its name and its data in the schema.
 */
#pragma once
#include <jansson.h>
#include <stddef.h>

/* X(name, usual severity, MESSAGE_ID in the journal, sentence)
 *
 * In a sentence {key} stands for data's key of this name, "-" if it is null; a
 * part in [] is left out if a key in it is null or absent. */
#define VS_EVENT_TYPES(X)                                                                        \
	X("vm.start", "info", "3331c965cb1044a696ed408cd55045af", "started ({cause})")           \
	X("vm.stop", "info", "ad2073c4dbd548949db56cf4a509bf72", "ended ({reason})")             \
	X("vm.state", "info", "fa8d30dbad634d7ebdfacbc7c0b3db45", "is {state} ({reason}), was {was}") \
	X("vnic.attach", "info", "38d83bd77c69438ba071610993f2a866", "opened tap {vnic}")        \
	X("vnic.detach", "info", "380251fb1b5f4e4db1d2b6a7baf3cae0", "closed tap {vnic}")        \
	X("disk.seen", "info", "b78aed181cb849d1b06d6805cc0829f3",                               \
	  "first request to disk {device}[ on {backing}]")                                       \
	X("disk.attach", "info", "5473aa7352624c0b8bdaaaf0d344ae38", "got disk {target}[: {path}]") \
	X("disk.detach", "info", "2910921f09f847a19cfebf8b545dd4c9", "lost disk {target}[: {path}]") \
	X("disk.io_error", "warning", "44474a8584e04da5b338c3d6c51983b3",                        \
	  "{count} failed requests to disk {target}[ ({reason})], QEMU's policy: {action}")      \
	X("drop.burst", "warning", "a1888dab83f34f35b6e54d1c90ac643a",                           \
	  "{count} packets lost at {vnic} ({direction}[, {reason}])")                            \
	X("anomaly", "warning", "22f2b33089a442bdbb2c1a2031be70dd",                              \
	  "{series}[ of {vnic} ({direction})][ of {disk} ({op})], unlike before ({state}): "      \
	  "[{value} {unit}, ]usual is {expected} {unit}")                                         \
	X("libvirt.lost", "warning", "4f8b65bfa6be4ab4b7d5c907358ed1f2",                         \
	  "libvirt does not answer: {reason}")                                                   \
	X("libvirt.restored", "info", "3eeab3f4cd2f4df4acafba445c0954c9",                        \
	  "libvirt answers again, after {lost_s} s")                                             \
	X("sink.dropped", "error", "0ffa723b37ff407daf2a2c10129eb01e",                           \
	  "events to the sink {sink} were lost ({state}): {count}, {why}")                       \
	X("self.lost", "warning", "b5d8ed2024184870a5c8f45d50f64c1d", "{reason}: {count} times {help}") \
	X("self.degraded", "warning", "c02bf15b62434c3eab5a3b47f9d83a4f",                        \
	  "probe {probe}: {state}, {reason}; {lost}")

struct vs_event_kind {
	const char *name, *severity, *message_id, *sentence;
};

/* The table; ends with name NULL. */
extern const struct vs_event_kind vs_event_types[];

/* Return: its row, or NULL. */
const struct vs_event_kind *vs_event_type_find(const char *name);

/**
 * vs_event_sentence() - say an event in one sentence, fit for terminals.
 * @event: whole, of schema virtscope.event/1; of a type without a row, the type's name is said
 * @dst:   NUL-terminated on return, cut at a character's end where it is too small
 * @size:  of @dst, at least 4
 *
 * The VM is not named. Return: bytes written without the NUL.
 */
size_t vs_event_sentence(char *dst, size_t size, const json_t *event);
