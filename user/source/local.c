/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/local.h"

#include "source/tell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct local {
	struct vs_source_listener listener;
	struct vs_live *live;
	struct vs_tell *tell;
};

static void on_disk(void *data, const struct vs_vm_entry *vm, const struct vs_disk_info *disk)
{
	struct local *l = data;

	vs_tell_event(l->tell, vm, "disk.seen", "info",
		      json_pack("{s:s,s:s,s:s,s:o}", "device", disk->name, "layer",
				disk->logical ? "logical" : "physical", "kind", disk->kind,
				"backing",
				disk->backing[0] ? json_string(disk->backing) : json_null()));
}

static void on_change(void *data, enum vs_change change, const struct vs_vm_entry *vm,
		      const struct vs_vnic_entry *vnic)
{
	struct local *l = data;

	vs_tell_change(l->tell, change, vm, vnic);
}

static void on_news(void *data, const struct vs_news *news)
{
	struct local *l = data;

	vs_tell_news(l->tell, news);
}

static void on_burst(void *data, uint64_t vnic_uid, uint32_t raw_reason)
{
	struct local *l = data;

	if (l->listener.burst)
		l->listener.burst(l->listener.data, vnic_uid, raw_reason);
}

static void on_degraded(void *data, const struct vs_plan_probe *p)
{
	struct local *l = data;

	l->listener.event(l->listener.data, "self.degraded",
			  p->state == VS_STATE_FALLBACK ? "info" : "warning", NULL,
			  json_pack("{s:s,s:s,s:s,s:s}", "probe", p->name, "state",
				    vs_state_name(p->state), "reason", p->reason, "lost", p->lost));
}

static void tell_degraded(struct local *l)
{
	const struct vs_plan *plan = vs_live_plan(l->live);

	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		const struct vs_plan_probe *p = &plan->probes[i];

		if (p->state == VS_STATE_ACTIVE || strncmp(p->reason, "not needed", 10) == 0)
			continue;
		on_degraded(l, p);
	}
}

static int local_sample(void *self, enum vs_look look, struct vs_sample *ret)
{
	struct local *l = self;
	int r = vs_live_sample(l->live, look, ret);

	for (size_t i = 0; !r && l->tell && i < ret->vms_n; i++)
		ret->vms[i].announced = !vs_tell_holds(l->tell, ret->vms[i].uid);
	return r;
}

static void local_window(void *self, bool open)
{
	struct local *l = self;

	if (open)
		vs_live_window_open(l->live);
	else
		vs_live_window_close(l->live);
}

static int local_deep_open(void *self, const struct vs_sample *s, struct vs_deep_sample *ret)
{
	return vs_live_deep_open(((struct local *)self)->live, s, ret);
}

static int local_deep_read(void *self, struct vs_deep_sample *ret)
{
	return vs_live_deep_read(((struct local *)self)->live, ret);
}

static void local_deep_close(void *self)
{
	vs_live_deep_close(((struct local *)self)->live);
}

static int local_tier(const void *self, const char **ret_why)
{
	const struct vs_plan *plan = vs_live_plan(((const struct local *)self)->live);

	*ret_why = plan->probes[VS_PROBE_TAP_DROPS].reason;
	return plan->tier;
}

static void local_free(void *self)
{
	struct local *l = self;

	vs_live_free(&l->live);
	vs_tell_free(&l->tell);
	free(l);
}

static const struct vs_source_ops local_ops = {
	.name = "live",
	.sample = local_sample,
	.window = local_window,
	.deep_open = local_deep_open,
	.deep_read = local_deep_read,
	.deep_close = local_deep_close,
	.tier = local_tier,
	.free = local_free,
};

int vs_local_new(struct vs_loop *loop, const struct vs_live_options *options,
		 const struct vs_source_listener *listener, struct vs_source *ret)
{
	struct local *l = calloc(1, sizeof(*l));
	const struct vs_live_ops ops = { .changed = on_change,
					 .disk_seen = on_disk,
					 .burst = on_burst,
					 .news = on_news,
					 .degraded = on_degraded,
					 .data = l };
	int r;

	if (!l)
		return -ENOMEM;
	if (listener)
		l->listener = *listener;
	r = listener ? vs_tell_new(loop, &l->live, listener->event, listener->data, &l->tell) : 0;
	if (!r)
		r = vs_live_new(loop, options, listener ? &ops : NULL, &l->live);
	if (r) {
		local_free(l);
		return r;
	}
	if (listener)
		tell_degraded(l);
	*ret = (struct vs_source){ .ops = &local_ops, .self = l };
	return 0;
}
