/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/http_guard.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "serve/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define FILE_MAX 65536
#define BACKLOG 64

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int parse_port(const char *text, uint16_t *ret)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || port > 65535)
		return -EINVAL;
	*ret = htons((uint16_t)port);
	return 0;
}

/* ADDR:PORT or [ADDR6]:PORT; numbers only, so that nobody waits for a name server. */
static int parse(const char *listen, union address *ret, socklen_t *ret_len)
{
	const char *colon = strrchr(listen, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t len = colon ? (size_t)(colon - listen) : 0;

	memset(ret, 0, sizeof(*ret));
	if (!len || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, listen, len);
	host[len] = '\0';
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		ret->v6.sin6_family = AF_INET6;
		*ret_len = sizeof(ret->v6);
		return inet_pton(AF_INET6, host + 1, &ret->v6.sin6_addr) == 1
			       ? parse_port(colon + 1, &ret->v6.sin6_port)
			       : -EINVAL;
	}
	ret->v4.sin_family = AF_INET;
	*ret_len = sizeof(ret->v4);
	if (strcmp(host, "localhost") == 0)
		ret->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (inet_pton(AF_INET, host, &ret->v4.sin_addr) != 1)
		return -EINVAL;
	return parse_port(colon + 1, &ret->v4.sin_port);
}

static bool is_own(const union address *a)
{
	if (a->sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
	return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
}

int vs_http_guard_address(const char *listen, bool *ret_own)
{
	union address a;
	socklen_t len;
	int r = parse(listen, &a, &len);

	if (!r && ret_own)
		*ret_own = is_own(&a);
	return r;
}

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

/* Return: 0 with text that the caller wipes, or -errno. Logs: yes. */
static int read_file(const char *path, const char *what, bool secret, char **ret)
{
	vs_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		return vs_fail(errno, "metrics: open the %s '%s': %s", what, path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return vs_fail(EINVAL, "metrics: the %s '%s' is not a file of up to 64 KiB", what,
			       path);
	if (secret && st.st_mode & (S_IROTH | S_IWOTH))
		return vs_fail(EACCES, "metrics: the %s '%s' is open to everybody: chmod 0640 it",
			       what, path);
	text = calloc(1, FILE_MAX + 1);
	if (!text)
		return -ENOMEM;
	n = read(fd, text, FILE_MAX);
	if (n < 0 || strlen(text) != (size_t)n) {
		wipe(&text);
		return vs_fail(n < 0 ? errno : EINVAL, "metrics: read the %s '%s': %s", what, path,
			       n < 0 ? strerror(errno) : "it is not text");
	}
	*ret = text;
	return 0;
}

static int read_token(const char *path, struct vs_http_guard *g)
{
	int r = read_file(path, "token file", true, &g->token);
	size_t len;

	if (r)
		return r;
	for (len = strlen(g->token); len && strchr(" \t\r\n", g->token[len - 1]); len--)
		g->token[len - 1] = '\0';
	g->token_len = len;
	for (size_t i = 0; i < len; i++)
		if (g->token[i] <= ' ' || g->token[i] >= 0x7f)
			len = 0;
	if (len < VS_TOKEN_MIN)
		return vs_fail(
			EINVAL,
			"metrics: the token in '%s' must be one line of %d or more characters "
			"without spaces; openssl rand -hex 32 makes one",
			path, VS_TOKEN_MIN);
	return 0;
}

static int read_files(const struct vs_http_options *o, struct vs_http_guard *g)
{
	int r = 0;

	if (!o->tls_certificate != !o->tls_key)
		return vs_fail(EINVAL, "metrics: TLS takes both tls_certificate and tls_key");
	if (o->tls_certificate)
		r = read_file(o->tls_certificate, "certificate", false, &g->certificate);
	if (!r && o->tls_key)
		r = read_file(o->tls_key, "key", true, &g->key);
	if (!r && o->token_file)
		r = read_token(o->token_file, g);
	return r;
}

static int listen_at(const char *text, const union address *a, socklen_t len,
		     struct vs_http_guard *g)
{
	union address bound;
	vs_autoclose int fd =
		socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd >= 0 && a->sa.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (fd < 0 || bind(fd, &a->sa, len) || listen(fd, BACKLOG))
		return vs_fail(errno, "metrics: listen at '%s': %s%s", text, strerror(errno),
			       errno == EADDRINUSE ? " (choose another port with metrics.listen)"
						   : "");
	len = sizeof(bound);
	(void)getsockname(fd, &bound.sa, &len);
	/* at the same place in both */
	g->port = ntohs(bound.v4.sin_port);
	g->fd = vs_take_fd(fd);
	return 0;
}

int vs_http_guard_open(const struct vs_http_options *o, struct vs_http_guard *ret)
{
	struct vs_http_guard g = {.fd = -1};
	union address a;
	socklen_t len;
	int r;

	if (parse(o->listen, &a, &len))
		return vs_fail(
			EINVAL,
			"metrics: '%s' is not an address to listen at: it takes ADDR:PORT with "
			"numbers, [ADDR6]:PORT, or none",
			o->listen);
	if (!is_own(&a) && !(o->tls_certificate && o->tls_key && o->token_file))
		return vs_fail(EACCES,
			       "metrics: '%s' can be reached from elsewhere: set tls_certificate, "
			       "tls_key and token_file, or listen at 127.0.0.1",
			       o->listen);
	r = read_files(o, &g);
	if (!r)
		r = listen_at(o->listen, &a, len, &g);
	if (r)
		vs_http_guard_close(&g);
	else
		*ret = g;
	return r;
}

void vs_http_guard_close(struct vs_http_guard *g)
{
	vs_cleanup_close(&g->fd);
	g->fd = -1;
	wipe(&g->certificate);
	wipe(&g->key);
	wipe(&g->token);
}

bool vs_http_guard_admits(const struct vs_http_guard *g, const char *authorization)
{
	static const char scheme[] = "Bearer ";
	const char *given;
	unsigned int differs = 0;
	size_t len;

	if (!g->token)
		return true;
	if (!authorization || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return false;
	given = authorization + sizeof(scheme) - 1;
	len = strlen(given);
	/* by the length of what was given, which is no secret */
	for (size_t i = 0; i < len; i++)
		differs |= (unsigned char)given[i] ^ (unsigned char)g->token[i % g->token_len];
	return !differs && len == g->token_len;
}
