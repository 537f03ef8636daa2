/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/options_table.h"

#include "app/config.h"
#include "serve/control.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBING (VS_CMD_REPORT | VS_CMD_RUN | VS_CMD_DOCTOR)
#define ALL	(PROBING | VS_CMD_EVENTS)

static int set_help(struct vs_options *o, const char *v)
{
	(void)v;
	o->help = true;
	return 0;
}

static int set_json(struct vs_options *o, const char *v)
{
	(void)v;
	o->json = true;
	return 0;
}

static int set_histogram(struct vs_options *o, const char *v)
{
	(void)v;
	o->histogram = true;
	return 0;
}

static int set_standalone(struct vs_options *o, const char *v)
{
	(void)v;
	o->standalone = true;
	return 0;
}

static int set_require_bpf(struct vs_options *o, const char *v)
{
	(void)v;
	o->require_bpf = true;
	return 0;
}

static int set_verbose(struct vs_options *o, const char *v)
{
	(void)v;
	o->verbosity++;
	return 0;
}

static int set_effective(struct vs_options *o, const char *v)
{
	(void)v;
	o->effective = true;
	return 0;
}

static int set_print_defaults(struct vs_options *o, const char *v)
{
	(void)v;
	o->print_defaults = true;
	return 0;
}

static int set_operand(struct vs_options *o, const char *v)
{
	o->operand = v;
	return 0;
}

static int set_config(struct vs_options *o, const char *v)
{
	o->config = v;
	return *v ? 0 : -EINVAL;
}

static int set_duration(struct vs_options *o, const char *v)
{
	char *end;
	double s = strtod(v, &end);

	if (end == v || *end || !isfinite(s) || s < 0.01 || s > 86400)
		return -EINVAL;
	o->duration_s = s;
	return 0;
}

static int set_deep(struct vs_options *o, const char *v)
{
	(void)v;
	o->deep = true;
	return 0;
}

static int set_events(struct vs_options *o, const char *v)
{
	o->events = v;
	return *v ? 0 : -EINVAL;
}

static int set_journal(struct vs_options *o, const char *v)
{
	(void)v;
	o->journal = true;
	return 0;
}

static int set_follow(struct vs_options *o, const char *v)
{
	(void)v;
	o->follow = true;
	return 0;
}

static int set_vm_name(struct vs_options *o, const char *v)
{
	o->vm = v;
	return *v ? 0 : -EINVAL;
}

static int set_type(struct vs_options *o, const char *v)
{
	o->type = v;
	return *v ? 0 : -EINVAL;
}

static int whole_number(const char *v, unsigned long long max, unsigned long long *ret)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(v, &end, 10);
	if (*v < '0' || *v > '9' || *end || errno || n == 0 || n > max)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int set_since(struct vs_options *o, const char *v)
{
	unsigned long long n;

	if (whole_number(v, INT64_MAX, &n))
		return -EINVAL;
	o->since_seq = n;
	return 0;
}

static int set_lines(struct vs_options *o, const char *v)
{
	unsigned long long n;

	if (whole_number(v, INT32_MAX, &n))
		return -EINVAL;
	o->lines = (uint32_t)n;
	return 0;
}

static int set_control(struct vs_options *o, const char *v)
{
	o->control = v;
	return *v ? 0 : -EINVAL;
}

static int set_metrics(struct vs_options *o, const char *v)
{
	o->http.listen = v;
	return *v ? 0 : -EINVAL;
}

static int set_user(struct vs_options *o, const char *v)
{
	o->user = v;
	return *v ? 0 : -EINVAL;
}

static int set_one_process(struct vs_options *o, const char *v)
{
	(void)v;
	o->one_process = true;
	return 0;
}

static int set_sample(struct vs_options *o, const char *v)
{
	char *end;
	long n = strtol(v, &end, 10);

	if (end == v || *end || n < 1 || n > 1 << 20 || (n & (n - 1)))
		return -EINVAL;
	o->sample_n = (int)n;
	o->live.sample_shift = (uint8_t)__builtin_ctzl((unsigned long)n);
	return 0;
}

static int set_deny(struct vs_options *o, const char *v)
{
	int hook = vs_hook_parse(v);

	if (hook < 0)
		return -EINVAL;
	o->live.denied |= 1u << hook;
	return 0;
}

static int set_libvirt(struct vs_options *o, const char *v)
{
	o->live.libvirt = v;
	return *v ? 0 : -EINVAL;
}

static int set_synthetic(struct vs_options *o, const char *v)
{
	char *end;
	unsigned long n = strtoul(v, &end, 10);

	if (*v < '0' || *v > '9' || n < 1 || n > VS_SYNTHETIC_MAX)
		return -EINVAL;
	o->synthetic.vms = (uint32_t)n;
	o->synthetic.seed = 1;
	if (!*end)
		return 0;
	if (*end != ',' || end[1] < '0' || end[1] > '9')
		return -EINVAL;
	errno = 0;
	o->synthetic.seed = strtoull(end + 1, &end, 10);
	return *end || errno ? -EINVAL : 0;
}

static int set_vm(struct vs_options *o, const char *v)
{
	const char *eq = strrchr(v, '=');
	uint32_t i = o->live.forced_n;
	unsigned long pid;
	char *end;

	if (!eq || eq == v || i == 64 || (size_t)(eq - v) >= sizeof(o->forced_names[0]))
		return -EINVAL;
	pid = strtoul(eq + 1, &end, 10);
	if (end == eq + 1 || *end || pid == 0 || pid > 4194304)
		return -EINVAL;
	memcpy(o->forced_names[i], v, (size_t)(eq - v));
	o->forced_names[i][eq - v] = '\0';
	o->live.forced[i].name = o->forced_names[i];
	o->live.forced[i].pid = (uint32_t)pid;
	o->live.forced_n++;
	return 0;
}

const struct vs_option_row vs_option_rows[] = {
	{ "duration", 'd', "SECONDS", VS_CMD_REPORT, set_duration,
	  "measure for so long (default 5); Ctrl-C ends it early and reports so far",
	  "a number from 0.01 to 86400" },
	{ "json", 'j', NULL, VS_CMD_REPORT | VS_CMD_DOCTOR | VS_CMD_CHECK_CONFIG, set_json,
	  "one JSON object instead of text", NULL },
	{ "follow", 'f', NULL, VS_CMD_EVENTS, set_follow,
	  "go on with events to come, after the last 10; Ctrl-C ends it", NULL },
	{ "vm", 0, "NAME", VS_CMD_EVENTS, set_vm_name, "only events of this VM", "a name" },
	{ "type", 0, "TYPE", VS_CMD_EVENTS, set_type,
	  "only events of this type; * stands for anything: 'drop.*'", "a type, or a pattern" },
	{ "since", 0, "SEQ", VS_CMD_EVENTS, set_since, "only events after number SEQ",
	  "a whole number above 0" },
	{ "lines", 'n', "N", VS_CMD_EVENTS, set_lines, "begin with the last N events",
	  "a whole number above 0" },
	{ "json", 'j', NULL, VS_CMD_EVENTS, set_json, "one JSON object a line instead of text",
	  NULL },
	{ "histogram", 'H', NULL, VS_CMD_REPORT, set_histogram,
	  "print the latency histograms themselves, too", NULL },
	{ "deep", 0, NULL, VS_CMD_REPORT, set_deep,
	  "also watch every context switch, for 10 s or --duration: who ran while a VM waited", NULL },
	{ "standalone", 0, NULL, VS_CMD_REPORT, set_standalone,
	  "attach own programs even when a daemon is running", NULL },
	{ "config", 'c', "FILE", VS_CMD_RUN, set_config,
	  "settings (default " VS_CONFIG_PATH ", if it is there); options override them", "a path" },
	{ "", 0, "FILE", VS_CMD_CHECK_CONFIG, set_operand,
	  "the file to check (default " VS_CONFIG_PATH ")", NULL },
	{ "effective", 0, NULL, VS_CMD_CHECK_CONFIG, set_effective,
	  "print all settings as they would hold, also those that the file does not name", NULL },
	{ "print-defaults", 0, NULL, VS_CMD_CHECK_CONFIG, set_print_defaults,
	  "print a file with every key, its default and what it means, and end", NULL },
	{ "events", 'e', "FILE", VS_CMD_RUN, set_events,
	  "append events to FILE, one JSON object a line; -: stdout, the default without --journal",
	  "a path, or -" },
	{ "journal", 0, NULL, VS_CMD_RUN, set_journal, "write events to systemd's journal", NULL },
	{ "control", 0, "PATH", VS_CMD_RUN | VS_CMD_REPORT | VS_CMD_EVENTS, set_control,
	  "the daemon's socket (default " VS_CONTROL_PATH ")", "a path" },
	{ "metrics", 0, "ADDR:PORT", VS_CMD_RUN, set_metrics,
	  "serve /metrics for Prometheus there, and the report as JSON, e.g. " VS_HTTP_LISTEN
	  " (default: none)",
	  "ADDR:PORT, [ADDR6]:PORT or none" },
	{ "user", 0, "NAME", VS_CMD_RUN, set_user,
	  "what serves the outside becomes this user (default: stays, without capabilities)",
	  "a user's name" },
	{ "one-process", 0, NULL, VS_CMD_RUN, set_one_process, NULL, NULL },
	{ "vm", 0, "NAME=PID", VS_CMD_RUN | VS_CMD_REPORT, set_vm,
	  "take this process for a VM, whatever it is; up to 64 times", "NAME=PID" },
	{ "libvirt", 0, "URI", PROBING, set_libvirt,
	  "ask this libvirt, read-only (default " VS_LIBVIRT_URI "); none: what /proc says is enough",
	  "a libvirt URI, or none" },
	{ "sample", 0, "N", VS_CMD_RUN | VS_CMD_REPORT, set_sample,
	  "time one packet in N (default: up to 1 in 64, by the rate)", "a power of two, 1 or more" },
	{ "deny-hook", 0, "KIND", PROBING, set_deny,
	  "do without tp_btf, raw_tp, iter, fentry, kprobe, sched or bpf, to see what the fallbacks give",
	  "one of tp_btf, raw_tp, iter, fentry, kprobe, sched, bpf" },
	{ "synthetic", 0, "N[,SEED]", VS_CMD_RUN | VS_CMD_REPORT, set_synthetic,
	  "show N VMs that do not exist, with made-up figures, to try out what reads them; needs no root",
	  "1 to 4000, and a seed if need be: 200,7" },
	{ "require-bpf", 0, NULL, VS_CMD_RUN | VS_CMD_REPORT, set_require_bpf,
	  "exit 3 where BPF cannot be used, instead of showing totals only", NULL },
	{ "verbose", 'v', NULL, ALL | VS_CMD_CHECK_CONFIG, set_verbose, "say more on stderr", NULL },
	{ "help", 'h', NULL, ALL | VS_CMD_CHECK_CONFIG, set_help, "this text", NULL },
};
const int vs_option_rows_n = sizeof(vs_option_rows) / sizeof(vs_option_rows[0]);

/* Flags of run that override keys of the configuration (config.h). */
static const struct {
	const char *option, *key;
} overriding[] = {
	{ "events", "events.file.path" }, { "control", "control" },	  { "vm", "probe.vms" },
	{ "libvirt", "libvirt.uri" },	  { "sample", "probe.sample" },	  { "deny-hook", "probe.deny" },
	{ "journal", "events.journal" },  { "user", "user" },		  { "metrics", "metrics.listen" },
};

const char *vs_option_key(const struct vs_option_row *option)
{
	for (size_t i = 0; i < sizeof(overriding) / sizeof(overriding[0]); i++)
		if (strcmp(overriding[i].option, option->name) == 0)
			return overriding[i].key;
	return NULL;
}
