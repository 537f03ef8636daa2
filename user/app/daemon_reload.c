/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_reload.c - SIGHUP: what can change while the daemon goes on measuring. */
#include "app/daemon.h"
#include "app/notify.h"
#include "app/settings.h"
#include "base/cleanup.h"

#include <stdlib.h>

static void apply(struct vs_daemon *d, const struct vs_config *old)
{
	struct vs_settings *s = d->settings;

	vs_daemon_change_sinks(d, old, &s->config);
	vs_anomaly_configure(d->anomalies, &s->now.detect);
	(void)vs_http_configure(d->http, &s->now.http.exports);
}

void vs_daemon_reload(void *daemon, int signal)
{
	struct vs_daemon *d = daemon;
	vs_autofree struct vs_config *old = malloc(sizeof(*old));

	(void)signal;
	vs_notify_reloading();
	if (old) {
		*old = d->settings->config;
		if (!vs_settings_reload(d->settings))
			apply(d, old);
	}
	/* Also with a bad configuration: somebody may have rotated the files. */
	(void)vs_sinks_reopen(d->sinks);
	vs_notify_ready();
}
