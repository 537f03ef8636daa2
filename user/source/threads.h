/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads.h - the threads of all VMs and KVM's statistics, into a sample.
 *
 * Layer:   source
 * State:   struct vs_threads: the task iterator, workers told of, names of KVM's
 *          statistics
 * Threads: one
 */
#pragma once
#include "model/sample.h"
#include "probe/plan.h"
#include "source/inventory.h"
#include "source/source.h"

struct vs_threads;

/* @plan: marked when the iterator cannot be loaded after all; then, and where
 * it is not planned, /proc is read. Return: 0 or -ENOMEM. Logs: yes. */
int vs_threads_new(struct vs_inventory *inv, struct vs_plan *plan, struct vs_threads **ret);
void vs_threads_free(struct vs_threads **threads);

/**
 * vs_threads_fill() - append the threads of all VMs to @ret.
 * @look: VS_LOOK_WHOLE: KVM's statistics, too, and the threads even where each
 *        costs two files of /proc; VS_LOOK_TICK: nothing, since a pass over all
 *        threads costs more than everything else that is read each second
 *
 * Return: 0 or -ENOMEM.
 */
int vs_threads_fill(struct vs_threads *threads, enum vs_look look, struct vs_sample *ret);

/*
 * Thread @tid works for @vm although it is not of its process, or is known to be
 * a worker whatever its name: for whoever sees a vhost worker at work. Kernel
 * threads that borrow the VMM's memory are found without. Forgotten with the VM.
 * Return: 0 or -ENOMEM.
 */
int vs_threads_add_worker(struct vs_threads *threads, uint32_t tid, const struct vs_vm_entry *vm);
void vs_threads_remove_worker(struct vs_threads *threads, uint32_t tid);
