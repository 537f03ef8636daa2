/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/domains.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* Are process and cgroup still what they were? And what of errors is untold? */
#define CHECK_NS (10 * VS_NS_PER_S)
/* A failing disk fails many requests a second: one event in so long. */
#define IO_ERROR_NS (10 * VS_NS_PER_S)

struct entry {
	struct vs_domain d;
	bool is_void; /* said before libvirt was lost */
	struct {
		uint64_t told_ns, count;
		char action[VS_WORD__N], reason[VS_WORD__N];
	} errors[VS_DOMAIN_DISK__N];
	UT_hash_handle hh; /* by d.uuid */
};

struct vs_domains {
	struct vs_loop *loop;
	struct vs_inventory *inv;
	struct vs_libvirt *libvirt;
	struct entry *entries;
	vs_news_fn news;
	void *data;
	uint64_t lost_ns; /* 0: not told as lost */
	int check_timer;
};

static void tell(const struct vs_domains *s, const struct vs_news *news)
{
	if (s->news)
		s->news(s->data, news);
}

enum relation { NONE, STRAY, OWN };

static enum relation relation(const struct vs_domains *s, const struct vs_domain *d,
			      const struct vs_vm_entry *vm)
{
	const struct vs_vm_entry *other = NULL;

	if (d->pid == vm->pid)
		return OWN;
	if (*vm->facts.uuid ? strcasecmp(vm->facts.uuid, d->uuid) != 0
			    : strcmp(vm->facts.name, d->name) != 0)
		return NONE;
	if (d->pid)
		HASH_FIND(hh, s->inv->vms, &d->pid, sizeof(d->pid), other);
	return other ? STRAY : OWN;
}

static void check(struct vs_vm_entry *vm)
{
	(void)vs_domain_agrees(vm->domain, vm->pid, &vm->facts, vs_domain_cgroup_id(vm->pid),
			       vm->disagreement, sizeof(vm->disagreement));
}

static void detach(struct vs_vm_entry *vm)
{
	vm->domain = NULL;
	vm->disagreement[0] = '\0';
	vs_inventory_rename(vm, NULL);
}

static void match(struct vs_domains *s, const struct entry *e)
{
	struct vs_vm_entry *vm, *tmp;

	HASH_ITER(hh, s->inv->vms, vm, tmp)
	{
		switch (relation(s, &e->d, vm)) {
		case OWN:
			vm->domain = &e->d;
			vm->stop_reason[0] = '\0';
			vs_inventory_rename(vm, e->d.name);
			check(vm);
			break;
		case STRAY:
			detach(vm);
			(void)snprintf(vm->disagreement, sizeof(vm->disagreement),
				       "domain %.80s, whose UUID this is, is process %u", e->d.name,
				       e->d.pid);
			break;
		case NONE:
			if (vm->domain == &e->d)
				detach(vm);
			break;
		}
	}
}

static struct vs_vm_entry *vm_of(const struct vs_domains *s, const struct entry *e)
{
	struct vs_vm_entry *vm, *tmp;

	HASH_ITER(hh, s->inv->vms, vm, tmp)
	{
		if (vm->domain == &e->d)
			return vm;
	}
	return NULL;
}

void vs_domains_match(struct vs_domains *s, uint32_t pid)
{
	struct vs_vm_entry *vm;
	struct entry *e, *tmp;

	HASH_FIND(hh, s->inv->vms, &pid, sizeof(pid), vm);
	if (!vm)
		return;
	HASH_ITER(hh, s->entries, e, tmp)
	{
		if (!e->is_void && relation(s, &e->d, vm) != NONE)
			match(s, e);
	}
}

static const struct vs_domain_disk *disk_called(const struct vs_domain *d, const char *target)
{
	for (uint32_t i = 0; i < d->disks_n; i++)
		if (strcmp(d->disks[i].target, target) == 0)
			return &d->disks[i];
	return NULL;
}

/* Tells of disks of @a that @b does not have. */
static void tell_disks(const struct vs_domains *s, const struct vs_news *news,
		       const struct vs_domain *a, const struct vs_domain *b)
{
	struct vs_news n = *news;

	for (uint32_t i = 0; i < a->disks_n; i++) {
		n.disk = &a->disks[i];
		if (!disk_called(b, n.disk->target))
			tell(s, &n);
	}
}

static void on_described(struct vs_domains *s, const struct vs_domain *d)
{
	vs_autofree struct vs_domain *old = NULL;
	struct vs_news news = { 0 };
	struct entry *e;

	HASH_FIND_STR(s->entries, d->uuid, e);
	if (e) {
		old = malloc(sizeof(*old));
		if (old)
			*old = e->d;
		/* Another run of the domain: nothing is compared with the last. */
		if (old && old->id != d->id)
			memset(e->errors, 0, sizeof(e->errors));
	} else {
		e = calloc(1, sizeof(*e));
		if (!e)
			return;
		memcpy(e->d.uuid, d->uuid, sizeof(e->d.uuid));
		HASH_ADD_STR(s->entries, d.uuid, e);
	}
	e->d = *d;
	e->is_void = false;
	match(s, e);
	news.vm = vm_of(s, e);
	news.domain = &e->d;
	if (!news.vm)
		return;
	news.kind = VS_NEWS_VM_DESCRIBED;
	tell(s, &news);
	if (!old || old->id != d->id)
		return;
	news.kind = VS_NEWS_DISK_DETACHED;
	tell_disks(s, &news, old, &e->d);
	news.kind = VS_NEWS_DISK_ATTACHED;
	tell_disks(s, &news, &e->d, old);
	news.kind = VS_NEWS_VM_STATE;
	news.text = old->state;
	/* From "starting up" to "booted" is the end of a start, told as such. */
	if (strcmp(old->state, e->d.state) != 0 && (*old->cause || !*e->d.cause))
		tell(s, &news);
}

static void drop(struct vs_domains *s, struct entry *e)
{
	struct vs_vm_entry *vm, *tmp;

	HASH_ITER(hh, s->inv->vms, vm, tmp)
	{
		if (vm->domain == &e->d || (!vm->domain && relation(s, &e->d, vm) == STRAY))
			detach(vm);
	}
	HASH_DEL(s->entries, e);
	free(e);
}

static void on_gone(struct vs_domains *s, const struct vs_domain *d)
{
	struct vs_news news = { .kind = VS_NEWS_VM_GONE, .domain = d };
	struct vs_vm_entry *vm;
	struct entry *e;

	HASH_FIND_STR(s->entries, d->uuid, e);
	if (!e)
		return;
	vm = vm_of(s, e);
	drop(s, e);
	if (vm)
		memcpy(vm->stop_reason, d->reason, sizeof(vm->stop_reason));
	news.vm = vm;
	tell(s, &news);
}

static void tell_errors(struct vs_domains *s, struct entry *e, uint32_t i, uint64_t now)
{
	struct vs_news news = { .kind = VS_NEWS_DISK_IO_ERROR,
			       .vm = vm_of(s, e),
			       .domain = &e->d,
			       .disk = &e->d.disks[i],
			       .text = e->errors[i].action,
			       .reason = e->errors[i].reason,
			       .count = e->errors[i].count };

	if (!news.vm || now - e->errors[i].told_ns < IO_ERROR_NS)
		return;
	e->errors[i].told_ns = now;
	e->errors[i].count = 0;
	tell(s, &news);
}

static void on_io_error(struct vs_domains *s, const struct vs_domain_message *m)
{
	const struct vs_domain_disk *hurt = &m->domain.disks[0];
	struct entry *e;

	HASH_FIND_STR(s->entries, m->domain.uuid, e);
	for (uint32_t i = 0; e && i < e->d.disks_n; i++) {
		const struct vs_domain_disk *disk = &e->d.disks[i];

		if (*hurt->alias ? strcmp(disk->alias, hurt->alias) != 0
				 : strcmp(disk->path, hurt->path) != 0)
			continue;
		e->errors[i].count++;
		(void)snprintf(e->errors[i].action, VS_WORD__N, "%.20s", m->text);
		memcpy(e->errors[i].reason, m->domain.reason, VS_WORD__N);
		tell_errors(s, e, i, vs_clock_mono_ns());
		return;
	}
}

static void on_lost(struct vs_domains *s, const char *why)
{
	struct vs_news news = { .kind = VS_NEWS_LIBVIRT_LOST,
			       .text = why,
			       .was_connected = vs_libvirt_was_connected(s->libvirt) };
	struct vs_vm_entry *vm, *tmp;
	struct entry *e, *te;

	HASH_ITER(hh, s->entries, e, te)
	{
		e->is_void = true;
	}
	HASH_ITER(hh, s->inv->vms, vm, tmp)
	{
		detach(vm);
	}
	s->lost_ns = vs_clock_mono_ns();
	tell(s, &news);
}

static void on_connected(struct vs_domains *s)
{
	struct vs_news news = { .kind = VS_NEWS_LIBVIRT_RESTORED };

	if (!s->lost_ns)
		return;
	news.seconds = (double)(vs_clock_mono_ns() - s->lost_ns) / 1e9;
	s->lost_ns = 0;
	tell(s, &news);
}

/* Those that ended while libvirt was lost. */
static void drop_void(struct vs_domains *s)
{
	struct entry *e, *tmp;

	HASH_ITER(hh, s->entries, e, tmp)
	{
		if (e->is_void)
			drop(s, e);
	}
}

static void on_message(void *data, const struct vs_domain_message *m)
{
	struct vs_domains *s = data;

	switch (m->type) {
	case VS_DOMAIN_CONNECTED:
		on_connected(s);
		break;
	case VS_DOMAIN_IS:
		on_described(s, &m->domain);
		break;
	case VS_DOMAIN_SYNCED:
		drop_void(s);
		break;
	case VS_DOMAIN_GONE:
		on_gone(s, &m->domain);
		break;
	case VS_DOMAIN_IO_ERROR:
		on_io_error(s, m);
		break;
	case VS_DOMAIN_LOST:
		on_lost(s, m->text);
		break;
	default:
		break;
	}
}

static void on_check(void *data, int fd)
{
	struct vs_domains *s = data;
	uint64_t now = vs_clock_mono_ns();
	struct vs_vm_entry *vm, *tmp;
	struct entry *e, *te;

	(void)fd;
	HASH_ITER(hh, s->inv->vms, vm, tmp)
	{
		if (vm->domain)
			check(vm);
	}
	HASH_ITER(hh, s->entries, e, te)
	{
		for (uint32_t i = 0; i < e->d.disks_n; i++)
			if (e->errors[i].count)
				tell_errors(s, e, i, now);
	}
}

int vs_domains_new(struct vs_loop *loop, struct vs_inventory *inv, const char *uri,
		   const struct vs_label_rules *labels, vs_news_fn news, void *data,
		   struct vs_domains **ret)
{
	struct vs_domains *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->inv = inv;
	s->news = news;
	s->data = data;
	s->check_timer = -1;
	r = vs_libvirt_new(loop, uri, labels, on_message, s, &s->libvirt);
	if (!r && vs_libvirt_state(s->libvirt) != VS_LIBVIRT_OFF) {
		s->check_timer = vs_loop_every(loop, CHECK_NS, on_check, s);
		r = s->check_timer < 0 ? s->check_timer : 0;
	}
	if (r) {
		vs_domains_free(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void vs_domains_free(struct vs_domains **domains)
{
	struct vs_domains *s = *domains;
	struct entry *e, *tmp;

	if (!s)
		return;
	vs_libvirt_free(&s->libvirt);
	vs_loop_remove(s->loop, s->check_timer);
	HASH_ITER(hh, s->entries, e, tmp)
	{
		drop(s, e);
	}
	free(s);
	*domains = NULL;
}

const struct vs_libvirt *vs_domains_libvirt(const struct vs_domains *s)
{
	return s->libvirt;
}
