/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/doctor_libvirt.h"

#include "base/clock.h"
#include "base/text.h"
#include "discover/proc.h"

#include <string.h>

#define PATIENCE_NS (3 * VS_NS_PER_S)

static const char *const state_names[] = {
	[VS_LIBVIRT_OFF] = "off",
	[VS_LIBVIRT_STARTING] = "silent",
	[VS_LIBVIRT_CONNECTED] = "connected",
	[VS_LIBVIRT_LOST] = "absent",
};

static void compare(struct vs_doctor_libvirt *l, const struct vs_domain *d)
{
	char text[160];
	struct vs_cmdline facts;

	l->domains++;
	if (!d->pid || vs_proc_cmdline(d->pid, &facts)) {
		l->without_process++;
		return;
	}
	if (!vs_domain_agrees(d, d->pid, &facts, vs_domain_cgroup_id(d->pid), text, sizeof(text)))
		(void)json_array_append_new(l->disagreements,
					    json_sprintf("%s (pid %u): %s", d->name, d->pid, text));
}

static void on_message(void *data, const struct vs_domain_message *m)
{
	struct vs_doctor_libvirt *l = data;

	if (m->type == VS_DOMAIN_IS)
		compare(l, &m->domain);
	if (m->type == VS_DOMAIN_SYNCED || m->type == VS_DOMAIN_LOST)
		vs_loop_stop(l->loop);
}

static void on_patience_ends(void *data, int fd)
{
	(void)fd;
	vs_loop_stop(data);
}

void vs_doctor_libvirt_ask(const char *uri, struct vs_doctor_libvirt *ret)
{
	int timer;

	ret->disagreements = json_array();
	if (vs_loop_new(&ret->loop) ||
	    vs_libvirt_new(ret->loop, uri, NULL, on_message, ret, &ret->client))
		return;
	timer = vs_loop_timer(ret->loop, on_patience_ends, ret->loop);
	if (timer >= 0 && vs_libvirt_state(ret->client) != VS_LIBVIRT_OFF) {
		vs_loop_arm(timer, PATIENCE_NS);
		(void)vs_loop_run(ret->loop);
	}
	ret->state = vs_libvirt_state(ret->client);
	(void)vs_text_utf8(ret->uri, sizeof(ret->uri), vs_libvirt_uri(ret->client),
			   strlen(vs_libvirt_uri(ret->client)));
	(void)snprintf(ret->reason, sizeof(ret->reason), "%s",
		       ret->state == VS_LIBVIRT_STARTING ? "libvirtd does not answer"
							 : vs_libvirt_reason(ret->client));
}

void vs_doctor_libvirt_done(struct vs_doctor_libvirt *l)
{
	vs_libvirt_free(&l->client);
	vs_loop_free(&l->loop);
	json_decref(l->disagreements);
}

json_t *vs_doctor_libvirt_json(const struct vs_doctor_libvirt *l)
{
	return json_pack("{s:s,s:s,s:o,s:I,s:I,s:O}", "state", state_names[l->state], "uri", l->uri,
			 "reason", *l->reason ? json_string(l->reason) : json_null(), "domains",
			 (json_int_t)l->domains, "without_process", (json_int_t)l->without_process,
			 "disagreements", l->disagreements);
}

void vs_doctor_libvirt_print(const struct vs_doctor_libvirt *l)
{
	char safe[1024];
	json_t *text;
	size_t i;

	(void)vs_text_printable(safe, sizeof(safe), *l->uri ? l->uri : "-");
	(void)printf("\nlibvirt\n  %-9s %s", state_names[l->state], safe);
	if (l->state == VS_LIBVIRT_CONNECTED) {
		(void)printf("  %u domains run, %zu disagree with their process or cgroup\n",
			     l->domains, json_array_size(l->disagreements));
	} else {
		(void)vs_text_printable(safe, sizeof(safe), l->reason);
		(void)printf(
			"  %s\n            so: names, UUIDs and images are those of the command "
			"lines\n",
			safe);
	}
	json_array_foreach(l->disagreements, i, text)
	{
		(void)vs_text_printable(safe, sizeof(safe), json_string_value(text));
		(void)printf("            %s\n", safe);
	}
	if (l->without_process)
		(void)printf("            %u have no process that can be seen from here\n",
			     l->without_process);
}
