/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "term/report.h"

#include "base/text.h"
#include "term/deep.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CELL 16

struct term {
	FILE *out;
	const struct vs_term_options *options;
};

static const char *colour(const struct term *t, const char *code)
{
	return t->options->colour ? code : "";
}
#define BOLD  colour(t, "\033[1m")
#define RED   colour(t, "\033[1;31m")
#define DIM   colour(t, "\033[2m")
#define PLAIN colour(t, "\033[0m")

static json_t *at(const json_t *j, const char *key)
{
	return json_object_get(j, key);
}

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(at(j, key));

	return s ? s : "-";
}

/* 1234567 -> "1,234,567" */
static const char *whole(const json_t *j, char dst[CELL * 2])
{
	char digits[32];
	size_t len, n = 0;

	if (!json_is_integer(j))
		return "-";
	len = (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(j));
	for (size_t i = 0; i < len; i++) {
		if (i && digits[i - 1] != '-' && (len - i) % 3 == 0)
			dst[n++] = ',';
		dst[n++] = digits[i];
	}
	dst[n] = '\0';
	return dst;
}

/* A quantity in three or four digits with its prefix. */
static const char *scaled(double v, const char *unit, char dst[CELL])
{
	static const char *const prefixes[] = { "", "k", "M", "G", "T", "P" };
	size_t i = 0;

	while (v >= 999.5 && i < 5) {
		v /= 1000;
		i++;
	}
	(void)snprintf(dst, CELL, v < 9.95 && (i || v != (double)(long)v) ? "%.1f %s%s" : "%.0f %s%s",
		       v, prefixes[i], unit);
	return dst;
}

static const char *per_second(const json_t *j, double seconds, double factor, const char *unit,
			      char dst[CELL])
{
	if (!json_is_integer(j) || seconds <= 0)
		return "-";
	return scaled((double)json_integer_value(j) * factor / seconds, unit, dst);
}

/* Microseconds as us, ms or s. */
static const char *duration(const json_t *us, char dst[CELL])
{
	double v = json_number_value(us);

	if (!json_is_number(us))
		return "-";
	if (v < 10)
		(void)snprintf(dst, CELL, "%.1f us", v);
	else if (v < 1000)
		(void)snprintf(dst, CELL, "%.0f us", v);
	else if (v < 1e6)
		(void)snprintf(dst, CELL, v < 1e4 ? "%.1f ms" : "%.0f ms", v / 1e3);
	else
		(void)snprintf(dst, CELL, "%.1f s", v / 1e6);
	return dst;
}

static void histogram(const struct term *t, const char *title, const json_t *dist)
{
	const json_t *rows = at(dist, "buckets"), *row;
	json_int_t most = 0;
	size_t i;

	json_array_foreach(rows, i, row)
		if (json_integer_value(json_array_get(row, 1)) > most)
			most = json_integer_value(json_array_get(row, 1));
	if (!t->options->histogram || most <= 0)
		return;
	(void)fprintf(t->out, "      %s%s%s\n", DIM, title, PLAIN);
	json_array_foreach(rows, i, row)
	{
		json_int_t n = json_integer_value(json_array_get(row, 1));
		int stars = (int)((n * 40 + most - 1) / most);
		char edge[CELL];

		(void)fprintf(t->out, "      %10s %10lld |%.*s\n",
			      duration(json_array_get(row, 0), edge), (long long)n, stars,
			      "****************************************");
	}
}

static void drops(const struct term *t, const json_t *rows, const char *dir)
{
	const json_t *d;
	size_t i;

	json_array_foreach(rows, i, d)
	{
		bool loss = strcmp(text(d, "class"), "loss") == 0;
		char n[CELL * 2];

		(void)fprintf(t->out, "    %s%s %-8s %10s  %-6s %-24s %s%s\n", loss ? RED : DIM, dir,
			      text(d, "class"), whole(at(d, "count"), n), text(d, "site"),
			      text(d, "reason"), text(d, "location"), PLAIN);
	}
}

static void vnic_line(const struct term *t, const json_t *vnic, const char *dir, double seconds)
{
	const json_t *d = at(vnic, dir);
	char a[CELL * 2], b[CELL], c[CELL], e[CELL * 2], f[CELL * 2], g[CELL * 2];
	bool lost = json_integer_value(at(d, "drops_total")) > 0;

	(void)fprintf(t->out, "  %-15.15s  %-2s %14s %10s %10s  %s%10s%s %10s %10s\n",
		      strcmp(dir, "rx") == 0 ? text(vnic, "name") : "", dir,
		      whole(at(d, "packets"), a), per_second(at(d, "packets"), seconds, 1, "/s", b),
		      per_second(at(d, "bytes"), seconds, 8, "bit/s", c), lost ? RED : "",
		      whole(at(d, "drops_total"), e), lost ? PLAIN : "",
		      whole(at(d, "kernel_dropped"), f), whole(at(d, "unexplained"), g));
}

static const char *share(const json_t *ratio, char dst[CELL]);

/* One line per virtqueue and worker, and why it waited, where that is known. */
static void workers(const struct term *t, const json_t *list)
{
	static const struct {
		const char *cause, *key, *words;
	} causes[] = {
		{ "guest_buffers", "guest_buffers_us", "waits for the guest to post buffers" },
		{ "cpu", "cpu_us", "waits for a CPU" },
		{ "sibling", "sibling_us", "waits while the worker serves another queue" },
	};
	const json_t *w;
	size_t i;

	json_array_foreach(list, i, w)
	{
		const json_t *kick = at(w, "kick_delay_us"), *wake = at(w, "wake_delay_us");
		const char *mostly = text(at(w, "waits"), "mostly");
		char k[CELL], r[CELL], busy[CELL], d[CELL], n[CELL * 2];

		(void)fprintf(t->out, "    vhost %-7lld", (long long)json_integer_value(at(w, "tid")));
		if (json_is_integer(at(w, "queue")))
			(void)fprintf(t->out, " %s queue %lld", text(w, "direction"),
				      (long long)json_integer_value(at(w, "queue")));
		(void)fprintf(t->out, "  kick p99 %s  wake-up p99 %s  busy %s  %s%s buffers%s",
			      duration(at(kick, "p99"), k), duration(at(wake, "p99"), r),
			      share(at(w, "busy_ratio"), busy), DIM, whole(at(w, "buffers"), n), PLAIN);
		for (size_t c = 0; c < sizeof(causes) / sizeof(causes[0]); c++)
			if (strcmp(mostly, causes[c].cause) == 0)
				(void)fprintf(t->out, "  %s%s: %s%s", RED, causes[c].words,
					      duration(at(at(w, "waits"), causes[c].key), d), PLAIN);
		(void)fprintf(t->out, "\n");
		if (t->options->histogram) {
			histogram(t, "kick to handler", kick);
			histogram(t, "wake-up to handler", wake);
		}
	}
}

static void vnics(const struct term *t, const json_t *list, double seconds)
{
	const json_t *v;
	size_t i;

	if (!json_array_size(list))
		return;
	(void)fprintf(t->out, "  %s%-15s  %-2s %14s %10s %10s  %10s %10s %10s%s\n", DIM, "vNIC", "",
		      "packets", "rate", "bandwidth", "drops", "by kernel", "unexplain.", PLAIN);
	json_array_foreach(list, i, v)
	{
		const json_t *r = at(at(v, "rx"), "residence_us");
		char a[CELL * 2], p50[CELL], p90[CELL], p99[CELL], max[CELL];

		vnic_line(t, v, "rx", seconds);
		vnic_line(t, v, "tx", seconds);
		if (strcmp(text(v, "netns"), "host") != 0)
			(void)fprintf(t->out, "    %sin namespace %s%s\n", DIM, text(v, "netns"), PLAIN);
		(void)fprintf(t->out,
			      "    waits for the guest:  p50 %s  p90 %s  p99 %s  max %s  %s(%s samples)%s\n",
			      duration(at(r, "p50"), p50), duration(at(r, "p90"), p90),
			      duration(at(r, "p99"), p99), duration(at(r, "max"), max), DIM,
			      whole(at(r, "samples"), a), PLAIN);
		workers(t, at(v, "vhost"));
		drops(t, at(at(v, "rx"), "drops"), "rx");
		drops(t, at(at(v, "tx"), "drops"), "tx");
		histogram(t, "residence", r);
	}
}

static void disks(const struct term *t, const json_t *list, double seconds)
{
	const json_t *d, *op;
	const char *name;
	size_t i;

	if (!json_array_size(list))
		return;
	(void)fprintf(t->out, "  %s%-10s %-8s %-7s %10s %9s %9s %5s %8s %8s %8s  %8s %8s%s\n", DIM, "disk",
		      "layer", "op", "requests", "rate", "bytes", "err", "p50", "p99", "max",
		      "queue99", "device99", PLAIN);
	json_array_foreach(list, i, d)
	{
		bool first = true;

		json_object_foreach(at(d, "ops"), name, op)
		{
			const json_t *total = at(op, "total_us");
			char n[CELL * 2], rate[CELL], bytes[CELL], err[CELL * 2], p50[CELL],
				p99[CELL], max[CELL], q[CELL], dev[CELL];

			if (!json_integer_value(at(op, "count")))
				continue;
			(void)fprintf(t->out,
				      "  %-10.10s %-8s %-7s %10s %9s %9s %5s %8s %8s %8s  %8s %8s\n",
				      first ? text(d, "device") : "", first ? text(d, "layer") : "",
				      name, whole(at(op, "count"), n),
				      per_second(at(op, "count"), seconds, 1, "/s", rate),
				      scaled((double)json_integer_value(at(op, "bytes")), "B", bytes),
				      whole(at(op, "errors"), err), duration(at(total, "p50"), p50),
				      duration(at(total, "p99"), p99), duration(at(total, "max"), max),
				      duration(at(at(op, "queue_us"), "p99"), q),
				      duration(at(at(op, "device_us"), "p99"), dev));
			first = false;
			histogram(t, name, total);
		}
		if (first)
			(void)fprintf(t->out, "  %-10.10s %-8s idle\n", text(d, "device"),
				      text(d, "layer"));
		if (json_is_string(at(d, "backing"))) {
			(void)fprintf(t->out, "    %son ", DIM);
			(void)fputs(text(d, "backing"), t->out);
			(void)fprintf(t->out, "%s\n", PLAIN);
		}
	}
}

static const char *share(const json_t *ratio, char dst[CELL])
{
	if (!json_is_number(ratio))
		return "-";
	(void)snprintf(dst, CELL, "%.0f %%", json_number_value(ratio) * 100);
	return dst;
}

/* Running is what one expects, and is not said. */
static void libvirt_state(const struct term *t, const json_t *l)
{
	if (!json_is_string(at(l, "state")) || strcmp(text(l, "state"), "running") == 0)
		return;
	(void)fprintf(t->out, "  %s (%s)", text(l, "state"), text(l, "reason"));
}

static void vm(const struct term *t, const json_t *v, double seconds)
{
	char cpu[CELL], steal[CELL], memory[CELL];
	const json_t *im;
	size_t i;

	(void)fprintf(t->out, "\n%sVM ", BOLD);
	(void)fputs(text(v, "name"), t->out);
	(void)fprintf(t->out, "%s  pid %lld  uuid %s", PLAIN,
		      (long long)json_integer_value(at(v, "pid")), text(v, "uuid"));
	if (json_is_false(at(v, "running")))
		(void)fprintf(t->out, "  ended");
	libvirt_state(t, at(v, "libvirt"));
	if (json_is_integer(at(at(v, "cpu"), "vcpus")))
		(void)fprintf(t->out, "  %lld vCPU",
			      (long long)json_integer_value(at(at(v, "cpu"), "vcpus")));
	(void)fprintf(t->out, "  CPU %s  steal %s  memory %s\n",
		      share(at(at(v, "cpu"), "utilization_ratio"), cpu),
		      share(at(at(v, "cpu"), "steal_ratio"), steal),
		      json_is_integer(at(at(v, "memory"), "used_bytes")) ?
			      scaled((double)json_integer_value(at(at(v, "memory"), "used_bytes")),
				     "B", memory) :
			      "-");
	if (json_is_string(at(at(v, "libvirt"), "disagreement")))
		(void)fprintf(t->out, "  libvirt disagrees: %s\n",
			      text(at(v, "libvirt"), "disagreement"));
	json_array_foreach(at(v, "images"), i, im)
	{
		(void)fprintf(t->out, "  %simage ", DIM);
		(void)fputs(text(im, "path"), t->out);
		(void)fprintf(t->out, "%s\n", PLAIN);
	}
	vnics(t, at(v, "vnics"), seconds);
	disks(t, at(v, "disks"), seconds);
	if (!json_array_size(at(v, "disks")))
		(void)fprintf(t->out, "  %sno disk requests seen yet%s\n", DIM, PLAIN);
}

/* BPF programs run on others' time; where the kernel measures it, how much. */
static double programs_ratio(const json_t *programs, double seconds)
{
	double ns = 0;
	const char *name;
	const json_t *p;

	json_object_foreach((json_t *)programs, name, p)
		ns += (double)json_integer_value(at(p, "run_time_ns"));
	return seconds > 0 ? ns / 1e9 / seconds : 0;
}

static void self_maps(const struct term *t, const json_t *maps)
{
	const char *name, *fullest = NULL;
	double bytes = 0, most = -1;
	char cell[CELL];
	const json_t *m;

	json_object_foreach((json_t *)maps, name, m)
	{
		double share = json_number_value(at(m, "used")) / json_number_value(at(m, "max"));

		bytes += json_number_value(at(m, "bytes"));
		if (!json_is_integer(at(m, "used")) || !(share > most))
			continue;
		most = share;
		fullest = name;
	}
	if (json_object_size(maps))
		(void)fprintf(t->out, "  maps %s", bytes > 0 ? scaled(bytes, "B", cell) : "-");
	if (fullest)
		(void)fprintf(t->out, " (fullest %s, %.0f %%)", fullest, most * 100);
}

static void self_ticks(const struct term *t, const json_t *s)
{
	const json_t *ticks = at(s, "ticks"), *sink;
	char late[CELL], took[CELL];
	const char *name;

	if (!json_is_object(ticks))
		return;
	(void)fprintf(t->out, "      ticks %lld  missed %lld  late p99 %s  took p99 %s",
		      (long long)json_integer_value(at(ticks, "count")),
		      (long long)json_integer_value(at(ticks, "missed")),
		      duration(at(at(ticks, "late_us"), "p99"), late),
		      duration(at(at(ticks, "took_us"), "p99"), took));
	json_object_foreach(at(s, "events"), name, sink)
		(void)fprintf(t->out, "  events to %s %lld, lost %lld", name,
			      (long long)json_integer_value(at(sink, "written")),
			      (long long)json_integer_value(at(sink, "lost")));
	(void)fputc('\n', t->out);
}

static void self(const struct term *t, const json_t *s, double seconds)
{
	double programs = programs_ratio(at(s, "programs"), seconds);
	const json_t *n;
	const char *reason;
	bool any = false;
	char rss[CELL];

	(void)fprintf(t->out, "\n%sself%s  CPU %.2f %%", BOLD, PLAIN,
		      json_number_value(at(s, "cpu_ratio")) * 100);
	if (programs > 0)
		(void)fprintf(t->out, "  programs %.2f %%", programs * 100);
	(void)fprintf(t->out, "  memory %s",
		      scaled((double)json_integer_value(at(s, "rss_bytes")), "B", rss));
	self_maps(t, at(s, "maps"));
	(void)fprintf(t->out, "  lost:");
	json_object_foreach(at(s, "lost"), reason, n)
	{
		if (!json_integer_value(n))
			continue;
		(void)fprintf(t->out, " %s %lld", reason, (long long)json_integer_value(n));
		any = true;
	}
	(void)fprintf(t->out, "%s\n", any ? "" : " nothing");
	self_ticks(t, s);
}

/*
 * A copy of which no string can steer a terminal. Names of guests, files and
 * devices are somebody else's; rather than to trust each place that prints one,
 * nothing else is printed.
 */
static json_t *harmless(const json_t *j)
{
	const char *key;
	json_t *copy, *v;
	char safe[4096];
	size_t i;

	switch (json_typeof(j)) {
	case JSON_STRING:
		(void)vs_text_printable(safe, sizeof(safe), json_string_value(j));
		return json_string(safe);
	case JSON_ARRAY:
		copy = json_array();
		json_array_foreach(j, i, v)
			(void)json_array_append_new(copy, harmless(v));
		return copy;
	case JSON_OBJECT:
		copy = json_object();
		json_object_foreach((json_t *)j, key, v)
		{
			(void)vs_text_printable(safe, sizeof(safe), key);
			(void)json_object_set_new(copy, safe, harmless(v));
		}
		return copy;
	default:
		return json_deep_copy(j);
	}
}

void vs_term_report(FILE *out, const json_t *whole_report, const struct vs_term_options *options)
{
	const struct term term = { .out = out, .options = options }, *t = &term;
	json_t *report = harmless(whole_report);
	const json_t *v, *p, *none = at(report, "unattributed");
	double seconds = json_number_value(at(report, "duration_s"));
	bool synthetic = strcmp(text(report, "source"), "synthetic") == 0;
	const char *name;
	size_t i;

	(void)fprintf(t->out, "virtscope  %s  Linux %s  %.1f s from %.19sZ  (%s)\n", text(report, "host"),
		      text(report, "kernel"), seconds, text(report, "start"),
		      text(report, "running_as"));
	/* A probe's state is news where a probe is. */
	if (synthetic)
		(void)fprintf(t->out, "%sSYNTHETIC: these VMs do not exist, none of their figures is "
				      "real%s\n", BOLD, PLAIN);
	json_object_foreach(at(report, "probes"), name, p)
		if (!synthetic && strcmp(text(p, "state"), "active") != 0 &&
		    !vs_text_starts(text(p, "reason"), "not needed"))
			(void)fprintf(t->out, "  %sprobe %s %s: %s%s\n", DIM, name, text(p, "state"),
				      text(p, "reason"), PLAIN);
	if (!json_array_size(at(report, "vms")))
		(void)fprintf(t->out, "\nNo VM is running here.\n");
	json_array_foreach(at(report, "vms"), i, v)
		vm(t, v, seconds);
	if (json_array_size(at(none, "disks")) || json_array_size(at(none, "drops"))) {
		(void)fprintf(t->out, "\n%sunattributed%s (seen, but no VM can be named)\n", BOLD, PLAIN);
		disks(t, at(none, "disks"), seconds);
		drops(t, at(none, "drops"), "  ");
	}
	vs_term_deep(out, at(report, "deep"), BOLD, PLAIN);
	self(t, at(report, "self"), seconds);
	json_decref(report);
}

bool vs_term_wants_colour(FILE *f)
{
	const char *no = getenv("NO_COLOR");

	return isatty(fileno(f)) && !(no && *no);
}
