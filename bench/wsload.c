/*
 * wsload - WebSocket fan-out load generator and delivery-latency meter.
 *
 * One thread, one epoll set, libc only.  Opens N WebSocket connections, drains
 * every frame, checks per-connection sequence numbers, measures delivery
 * latency from a monotonic time stamp inside the message, and prints one JSON
 * summary.  See README.md.
 *
 *   build:  gcc -O2 -Wall -Wextra -o wsload wsload.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define VERSION "1.0"
#define NS 1000000000ull
#define MAX_SENDS 8
#define RDBUF (256 * 1024)      /* shared read buffer */
#define BIG_FRAME (1024 * 1024) /* frames above this are skipped, not buffered */

/* ---- latency histogram: log2 buckets, 128 linear sub-buckets (<0.8 % error) */
#define SUB_BITS 7
#define SUB (1u << SUB_BITS)
#define HBUCKETS ((64 - SUB_BITS) * SUB)

struct hist {
    uint64_t n, sum, min, max;
    uint64_t b[HBUCKETS];
};
static unsigned hidx(uint64_t v) {
    if (v < 2 * SUB) return (unsigned)v;
    unsigned e = 63 - (unsigned)__builtin_clzll(v);     /* v >= 2^(SUB_BITS+1) */
    unsigned sh = e - SUB_BITS;
    return sh * SUB + (unsigned)(v >> sh);
}
static uint64_t hval(unsigned i) {                      /* upper edge of bucket i */
    if (i < 2 * SUB) return i;
    unsigned sh = i / SUB - 1;
    uint64_t m = i - (uint64_t)sh * SUB;
    return ((m + 1) << sh) - 1;
}
static void hadd(struct hist *h, uint64_t v) {
    if (!h->n || v < h->min) h->min = v;
    if (v > h->max) h->max = v;
    h->n++; h->sum += v; h->b[hidx(v)]++;
}
static void hmerge(struct hist *a, const struct hist *b) {
    if (!b->n) return;
    if (!a->n || b->min < a->min) a->min = b->min;
    if (b->max > a->max) a->max = b->max;
    a->n += b->n; a->sum += b->sum;
    for (unsigned i = 0; i < HBUCKETS; i++) a->b[i] += b->b[i];
}
static uint64_t hq(const struct hist *h, double q) {
    if (!h->n) return 0;
    uint64_t want = (uint64_t)(q * (double)h->n + 0.5), c = 0;
    if (want < 1) want = 1;
    for (unsigned i = 0; i < HBUCKETS; i++)
        if ((c += h->b[i]) >= want) { uint64_t v = hval(i); return v > h->max ? h->max : v; }
    return h->max;
}

/* ---- statistics; one per process, in shared memory so --procs can merge */
struct stats {
    volatile int ready;          /* all connections settled (open or failed)    */
    volatile int done;
    volatile int complete;       /* all fast connections have what they expect    */
    uint64_t wanted, opened, failed, fail_connect, fail_http, fail_accept, fail_closed, fail_timeout;
    int first_http_status;
    int preamble_short;          /* READY fired before all preambles arrived    */
    uint64_t t_conn0, t_conn1;   /* first connect() and last open               */
    uint64_t msgs, payload_bytes, wire_bytes, frames, reads;
    uint64_t gaps, ooo, unmarked, compressed, text_pongs, pings, server_close, proto_err, negative_lat;
    uint64_t closed_early;       /* fast connections the server closed          */
    uint64_t short_conns, missing, surplus;
    uint64_t counted;            /* messages that contain --count               */
    uint64_t next_min, next_max; /* sequence number after the last one received */
    uint64_t t_first, t_last, t_stamp0;   /* first/last message, lowest stamp   */
    uint64_t slow_conns, slow_msgs, slow_bytes, slow_gaps, slow_closed, slow_complete;
    uint64_t slow_close_first, slow_close_last;   /* ns after first message     */
    uint64_t close_codes[8]; unsigned close_code[8];
    double cpu_total, cpu_msgs;  /* own CPU seconds: all / while messages flow  */
    char why[32];
    struct hist lat, conn;
};
static struct stats *S;

/* ---- options */
static struct {
    const char *host, *port, *path, *hist_file, *seq_key, *time_key;
    const char *hdr[16]; int nhdr;
    struct { const char *s; int bin; } snd[MAX_SENDS]; int nsnd;
    const char *tp_from, *tp_to;         /* --text-pong FROM=TO                 */
    const char *count; long long first, last; int marked;
    char **words; size_t nwords;         /* --words: {w} is a line of the file  */
    long n, expect, preamble, inflight, rcvbuf, slow, slow_rcvbuf, procs, cpu;
    double slow_rate, slow_drain, rate, timeout, idle, conn_timeout, linger;
    int stream, deflate, quiet, src_count; const char *src_base; int close_on_end;
} O = { .host = "127.0.0.1", .port = "8080", .path = "/", .seq_key = "n", .time_key = "t",
        .n = 1, .inflight = 256, .procs = 1, .cpu = -1, .timeout = 60, .conn_timeout = 30,
        .src_base = "127.0.0.1", .first = -1, .last = -1 };

/* ---- one connection */
enum { ST_NEW, ST_CONNECTING, ST_HS, ST_OPEN, ST_CLOSED };
struct conn {
    int fd; uint8_t st, slow, in_msg, msg_comp, finished, pre_done;
    uint8_t has_n, has_t;                /* marks found so far in this message  */
    uint8_t sm; uint8_t sm_key;          /* stream-mode scanner state           */
    uint64_t sm_val;
    uint8_t *carry; uint32_t ncarry, ccap;   /* incomplete frame or HTTP head   */
    uint8_t *out; uint32_t nout, ocap;       /* unsent bytes                    */
    uint64_t skip;                       /* rest of a big frame to throw away   */
    uint8_t skip_fin;
    uint32_t idx;
    uint64_t pre, msgs, next, t_start;
    uint64_t pend_n, pend_t;             /* their values                        */
};
static struct conn *C;
static int ep = -1;
static uint8_t *rb;
static struct sockaddr_storage dst; static socklen_t dstlen;
static char seq_pat[40], time_pat[40]; static size_t seq_len, time_len;
static long n_pending, n_done_fast, n_fast, n_inflight, n_pre_done;
static volatile sig_atomic_t stop_sig;
static double cpu_at_first;
static bool draining;                   /* end of run: slow connections read freely */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==", ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static uint64_t now_ns(void) {
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}
static double cpu_s(void) {
    struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static void die(const char *f, ...) {
    va_list a; va_start(a, f); fputs("wsload: ", stderr); vfprintf(stderr, f, a);
    fputc('\n', stderr); va_end(a); exit(2);
}
static void *xrealloc(void *p, size_t n) { p = realloc(p, n); if (!p) die("out of memory"); return p; }

/* expand \r \n \t \0 \\ \xHH, {i} (connection index) and {w} (a word for that index) */
static size_t expand(const char *s, uint32_t i, char *o, size_t cap) {
    size_t n = 0;
    for (; *s && n + 16 < cap; s++) {
        if (*s == '\\' && s[1]) {
            s++;
            if (*s == 'x' && isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2])) {
                char h[3] = { s[1], s[2], 0 }; o[n++] = (char)strtol(h, NULL, 16); s += 2;
            } else o[n++] = *s == 'r' ? '\r' : *s == 'n' ? '\n' : *s == 't' ? '\t' : *s == '0' ? 0 : *s;
        } else if (!strncmp(s, "{i}", 3)) { n += (size_t)sprintf(o + n, "%u", i); s += 2; }
        else if (O.nwords && !strncmp(s, "{w}", 3)) {
            const char *word = O.words[i % O.nwords]; size_t len = strlen(word);
            if (n + len + 16 >= cap) die("word too long");
            memcpy(o + n, word, len); n += len; s += 2;
        }
        else o[n++] = *s;
    }
    o[n] = 0; return n;
}

static void read_words(const char *path) {
    FILE *f = fopen(path, "r"); if (!f) die("%s: %s", path, strerror(errno));
    char *line = NULL; size_t cap = 0; ssize_t len;
    while ((len = getline(&line, &cap, f)) >= 0) {
        if (len && line[len - 1] == '\n') line[len - 1] = 0;
        O.words = xrealloc(O.words, (O.nwords + 1) * sizeof *O.words);
        if (!(O.words[O.nwords++] = strdup(line))) die("out of memory");
    }
    free(line); fclose(f);
    if (!O.nwords) die("%s: no words", path);
}

/* ---- output */
static void ep_set(struct conn *c) {
    struct epoll_event e = { .data.ptr = c };
    e.events = EPOLLRDHUP;
    if (!(c->slow && c->st == ST_OPEN) || draining) e.events |= EPOLLIN;   /* slow ones read on a timer */
    if (c->nout || c->st == ST_CONNECTING) e.events |= EPOLLOUT;
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static int flush_out(struct conn *c) {          /* -1: connection is dead */
    uint32_t o = 0;
    while (o < c->nout) {
        ssize_t r = send(c->fd, c->out + o, c->nout - o, MSG_NOSIGNAL);
        if (r < 0) { if (errno == EINTR) continue; if (errno == EAGAIN) break; return -1; }
        o += (uint32_t)r;
    }
    memmove(c->out, c->out + o, c->nout - o); c->nout -= o;
    if (!c->nout) { free(c->out); c->out = NULL; c->ocap = 0; }
    ep_set(c);
    return 0;
}
static void put(struct conn *c, const void *p, size_t n) {
    if (c->nout + n > c->ocap) { c->ocap = (uint32_t)(c->nout + n + 64); c->out = xrealloc(c->out, c->ocap); }
    memcpy(c->out + c->nout, p, n); c->nout += (uint32_t)n;
}
static int send_frame(struct conn *c, int op, const void *p, size_t n) {
    uint8_t h[14]; size_t k = 2; const uint8_t mask[4] = { 0x12, 0x34, 0x56, 0x78 };
    h[0] = (uint8_t)(0x80 | op);
    if (n < 126) h[1] = (uint8_t)(0x80 | n);
    else if (n < 65536) { h[1] = 0x80 | 126; h[2] = (uint8_t)(n >> 8); h[3] = (uint8_t)n; k = 4; }
    else { h[1] = 0x80 | 127; for (int i = 0; i < 8; i++) h[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i)); k = 10; }
    memcpy(h + k, mask, 4); k += 4;
    put(c, h, k);
    size_t at = c->nout; put(c, p, n);
    for (size_t i = 0; i < n; i++) c->out[at + i] ^= mask[i & 3];
    return flush_out(c);
}

/* ---- connection life cycle */
static void finish_fast(struct conn *c) {       /* this fast connection is complete or gone */
    if (!c->slow && !c->finished) { c->finished = 1; n_done_fast++; }
}
static void pre_complete(struct conn *c) { if (!c->pre_done) { c->pre_done = 1; n_pre_done++; } }
static void drop(struct conn *c, uint64_t *counter) {
    if (c->st == ST_CLOSED) return;
    bool open = c->st == ST_OPEN;
    if (c->fd >= 0) { epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL); close(c->fd); c->fd = -1; }
    free(c->carry); free(c->out); c->carry = c->out = NULL; c->ncarry = c->nout = c->ccap = c->ocap = 0;
    if (!open) { S->failed++; n_pending--; n_inflight--; }
    else if (c->slow) {
        S->slow_closed++;
        uint64_t t = now_ns(), d = S->t_first ? t - S->t_first : 0;
        if (!S->slow_close_first) S->slow_close_first = d + 1;
        S->slow_close_last = d + 1;
    } else S->closed_early++;
    if (counter) (*counter)++;
    c->st = ST_CLOSED;
    pre_complete(c);
    finish_fast(c);
}
static bool start_conn(struct conn *c) {
    int fd = socket(dst.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket: %s (raise ulimit -n, or use --procs)", strerror(errno));
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    long rbuf = c->slow && O.slow_rcvbuf ? O.slow_rcvbuf : O.rcvbuf;
    if (rbuf) { int v = (int)rbuf; setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof v); }
    if (O.src_count > 0 && dst.ss_family == AF_INET) {
        struct sockaddr_in a = { .sin_family = AF_INET };
        inet_pton(AF_INET, O.src_base, &a.sin_addr);
        a.sin_addr.s_addr = htonl(ntohl(a.sin_addr.s_addr) + c->idx % (uint32_t)O.src_count);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&a, sizeof a)) die("bind source address: %s", strerror(errno));
    }
    c->fd = fd; c->st = ST_CONNECTING; c->t_start = now_ns(); n_inflight++;
    if (!S->t_conn0) S->t_conn0 = c->t_start;
    struct epoll_event e = { .events = EPOLLOUT | EPOLLIN | EPOLLRDHUP, .data.ptr = c };
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    if (connect(fd, (struct sockaddr *)&dst, dstlen) && errno != EINPROGRESS) {
        static bool said;
        if (errno == EADDRNOTAVAIL && !said && (said = true)) fprintf(stderr, "wsload: out of source ports, use --src-count\n");
        drop(c, &S->fail_connect);
        return false;
    }
    return true;
}
static int send_handshake(struct conn *c) {
    char b[8192], t[2048]; size_t n;
    expand(O.path, c->idx, t, sizeof t);
    n = (size_t)snprintf(b, sizeof b, "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s", t, O.host, O.port, KEY,
        O.deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    for (int i = 0; i < O.nhdr; i++) {
        expand(O.hdr[i], c->idx, t, sizeof t);
        n += (size_t)snprintf(b + n, sizeof b - n, "%s\r\n", t);
        if (n >= sizeof b - 4) die("headers too long");
    }
    memcpy(b + n, "\r\n", 2); n += 2;
    c->st = ST_HS;
    put(c, b, n);
    return flush_out(c);
}
static void opened(struct conn *c) {
    c->st = ST_OPEN; S->opened++; n_pending--; n_inflight--;
    S->t_conn1 = now_ns();
    hadd(&S->conn, S->t_conn1 - c->t_start);
    for (int i = 0; i < O.nsnd; i++) {
        char t[8192]; size_t n = expand(O.snd[i].s, c->idx, t, sizeof t);
        if (send_frame(c, O.snd[i].bin ? 2 : 1, t, n)) { drop(c, NULL); return; }
    }
    if (!O.preamble || c->slow) pre_complete(c);
    ep_set(c);
}

/* ---- messages */
static void note_message(struct conn *c, uint64_t now, bool has_n, uint64_t n, bool has_t, uint64_t t) {
    if (O.marked && !has_n) { S->unmarked++; return; }
    if (c->slow) {
        S->slow_msgs++;
        if (has_n && c->msgs && n > c->next) S->slow_gaps += n - c->next;
        if (has_n) c->next = n + 1;
        if (++c->msgs == (uint64_t)O.expect) S->slow_complete++;
        return;
    }
    if (!S->t_first) { S->t_first = now; cpu_at_first = cpu_s(); }
    S->t_last = now;
    S->msgs++; c->msgs++;
    if (has_n) {
        if (c->msgs == 1 && O.first >= 0 && n > (uint64_t)O.first) S->gaps += n - (uint64_t)O.first;
        if (c->msgs == 1 || n == c->next) c->next = n + 1;
        else if (n > c->next) { S->gaps += n - c->next; c->next = n + 1; }
        else S->ooo++;
    } else S->unmarked++;
    if (has_t && t) {
        if (!S->t_stamp0 || t < S->t_stamp0) S->t_stamp0 = t;
        if (now >= t) hadd(&S->lat, now - t); else S->negative_lat++;
    }
    if (O.expect && c->msgs == (uint64_t)O.expect) finish_fast(c);
    if (O.last >= 0 && c->next > (uint64_t)O.last) finish_fast(c);
}
static bool num_after(const uint8_t *p, size_t n, size_t at, uint64_t *v) {
    while (at < n && p[at] == ' ') at++;
    if (at >= n || !isdigit(p[at])) return false;
    uint64_t x = 0;
    while (at < n && isdigit(p[at])) x = x * 10 + (uint64_t)(p[at++] - '0');
    *v = x; return true;
}
/* Find a key in a payload.  The place where the last one stood is tried first. */
static bool find_key(const uint8_t *p, size_t n, const char *pat, size_t len, size_t *hint, uint64_t *v) {
    if (*hint + len < n && !memcmp(p + *hint, pat, len)) return num_after(p, n, *hint + len, v);
    const uint8_t *q = memmem(p, n, pat, len);
    if (!q) return false;
    *hint = (size_t)(q - p);
    return num_after(p, n, *hint + len, v);
}
static size_t hint_n, hint_t;
/* One payload piece in frame mode; `last` ends the message.  Marks must lie within one piece. */
static void frame_payload(struct conn *c, const uint8_t *p, size_t n, bool last, uint64_t now) {
    if (O.tp_from && last && n == strlen(O.tp_from) && !memcmp(p, O.tp_from, n)) {
        S->text_pongs++;
        if (send_frame(c, 1, O.tp_to, strlen(O.tp_to))) drop(c, NULL);
        return;
    }
    if (O.count && n && memmem(p, n, O.count, strlen(O.count))) S->counted++;
    bool pre = c->pre < (uint64_t)O.preamble;
    if (!pre && !c->msg_comp) {
        if (!c->has_n) c->has_n = find_key(p, n, seq_pat, seq_len, &hint_n, &c->pend_n);
        if (!c->has_t && time_len) c->has_t = find_key(p, n, time_pat, time_len, &hint_t, &c->pend_t);
    }
    if (!last) return;
    if (pre) { if (++c->pre == (uint64_t)O.preamble) pre_complete(c); return; }
    if (c->msg_comp) S->compressed++;
    note_message(c, now, c->has_n, c->pend_n, c->has_t, c->pend_t);
    c->has_n = c->has_t = 0;
}
/* Stream mode: frames are only a byte stream (NATS); a message is one "n":<digits> [.. "t":<digits>].
 * The time key must come after the sequence key and within the same message. */
static void stream_emit(struct conn *c, uint64_t now, bool has_t, uint64_t t) {
    note_message(c, now, true, c->pend_n, has_t, t); c->sm_key = 0;
}
static void stream_payload(struct conn *c, const uint8_t *p, size_t n, uint64_t now) {
    for (size_t i = 0; i < n;) {
        switch (c->sm) {
        case 0: {                                            /* look for a quote */
            const uint8_t *q = memchr(p + i, '"', n - i);
            if (!q) return;
            i = (size_t)(q - p) + 1; c->sm = 1; c->sm_val = 0; break; }
        case 1: default: {                                   /* inside a candidate key; sm = matched bytes */
            const char *pat = c->sm_key ? time_pat : seq_pat; size_t len = c->sm_key ? time_len : seq_len;
            if (c->sm < len) {
                if (p[i] == (uint8_t)pat[c->sm]) { c->sm++; i++; }
                else { c->sm = p[i] == '"' ? 1 : 0; i++; }
                break;
            }
            if (isdigit(p[i])) { c->sm_val = c->sm_val * 10 + (uint64_t)(p[i++] - '0'); break; }
            if (p[i] == ' ' && !c->sm_val) { i++; break; }
            c->sm = 0;
            if (!c->sm_key) { c->pend_n = c->sm_val; c->sm_key = 1; if (!time_len) stream_emit(c, now, false, 0); }
            else stream_emit(c, now, true, c->sm_val);
            break; }
        }
    }
}
static void note_close_code(unsigned code) {
    for (int i = 0; i < 8; i++)
        if (S->close_code[i] == code || !S->close_codes[i]) { S->close_code[i] = code; S->close_codes[i]++; return; }
}

/* ---- parse bytes of an open connection; returns bytes consumed, or -1 when dropped */
static ssize_t parse(struct conn *c, const uint8_t *p, size_t n, uint64_t now) {
    size_t i = 0;
    while (i < n) {
        if (c->skip) {                                        /* tail of a big frame */
            size_t k = n - i < c->skip ? n - i : (size_t)c->skip;
            if (O.stream) stream_payload(c, p + i, k, now);
            i += k; c->skip -= k;
            if (!c->skip && c->skip_fin) { c->in_msg = 0; if (!O.stream) frame_payload(c, p, 0, true, now); if (c->st == ST_CLOSED) return -1; }
            continue;
        }
        if (n - i < 2) break;
        uint8_t b0 = p[i], b1 = p[i + 1]; unsigned op = b0 & 15; bool fin = b0 & 0x80;
        uint64_t len = b1 & 127; size_t h = 2;
        if (len == 126) { if (n - i < 4) break; len = (uint64_t)p[i + 2] << 8 | p[i + 3]; h = 4; }
        else if (len == 127) { if (n - i < 10) break; len = 0; for (int k = 0; k < 8; k++) len = len << 8 | p[i + 2 + k]; h = 10; }
        bool bad = (b1 & 0x80) || (b0 & 0x30) || (op > 2 && op < 8) || op > 10 || (op >= 8 && (!fin || len > 125)) ||
                   (len >> 63) || (op == 0 && !c->in_msg) || ((op == 1 || op == 2) && c->in_msg) ||
                   ((b0 & 0x40) && !(O.deflate && (op == 1 || op == 2)));
        if (bad) { S->proto_err++; drop(c, NULL); return -1; }
        if (op < 8 && len > BIG_FRAME) {
            if (op) c->msg_comp = !!(b0 & 0x40);
            c->in_msg = 1; c->skip = len; c->skip_fin = fin; S->frames++; S->payload_bytes += len;
            i += h; continue;
        }
        if (n - i - h < len) break;
        const uint8_t *d = p + i + h; i += h + (size_t)len;
        S->frames++;
        if (op >= 8) {
            if (op == 9) { S->pings++; if (send_frame(c, 10, d, (size_t)len)) { drop(c, NULL); return -1; } }
            else if (op == 8) {
                S->server_close++; note_close_code(len >= 2 ? (unsigned)(d[0] << 8 | d[1]) : 1005);
                send_frame(c, 8, d, len >= 2 ? 2 : 0); drop(c, NULL); return -1;
            }
            continue;
        }
        if (op) c->msg_comp = !!(b0 & 0x40);
        c->in_msg = !fin; S->payload_bytes += len;
        if (O.stream) stream_payload(c, d, (size_t)len, now);
        else frame_payload(c, d, (size_t)len, fin, now);
        if (c->st == ST_CLOSED) return -1;
    }
    return (ssize_t)i;
}
static void on_http(struct conn *c, size_t head) {            /* carry holds a whole HTTP head */
    char *p = (char *)c->carry; int status = 0; p[head - 1] = 0;
    sscanf(p, "HTTP/1.%*c %d", &status);
    if (status != 101) { if (!S->first_http_status) S->first_http_status = status; drop(c, &S->fail_http); return; }
    if (!strstr(p, ACCEPT)) { drop(c, &S->fail_accept); return; }
    opened(c);
}
static void on_readable(struct conn *c, size_t max) {
    size_t pre = c->ncarry;
    if (pre) memcpy(rb, c->carry, pre);
    ssize_t r = recv(c->fd, rb + pre, max < RDBUF ? max : RDBUF, 0);
    uint64_t now = now_ns();
    if (r < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (r <= 0) {
        drop(c, c->st == ST_CONNECTING ? &S->fail_connect : c->st == ST_OPEN ? NULL : &S->fail_closed);
        return;
    }
    S->reads++; S->wire_bytes += (uint64_t)r;
    if (c->slow) S->slow_bytes += (uint64_t)r;
    size_t n = pre + (size_t)r, used = 0;
    if (c->st == ST_HS) {
        const uint8_t *e = memmem(rb, n, "\r\n\r\n", 4);
        if (n >= c->ccap) { c->ccap = (uint32_t)n + 1024; c->carry = xrealloc(c->carry, c->ccap); }
        memcpy(c->carry, rb, n); c->ncarry = (uint32_t)n;
        if (!e) { if (n > 65536) drop(c, &S->fail_http); return; }
        used = (size_t)(e - rb) + 4;
        on_http(c, used);
        if (c->st != ST_OPEN) return;
        c->ncarry = 0;
        if (c->slow) ep_set(c);
    }
    ssize_t k = parse(c, rb + used, n - used, now);
    if (k < 0) return;
    used += (size_t)k;
    if (used < n) {
        size_t rest = n - used;
        if (rest > c->ccap) { c->ccap = (uint32_t)rest + 512; c->carry = xrealloc(c->carry, c->ccap); }
        memcpy(c->carry, rb + used, rest); c->ncarry = (uint32_t)rest;
    } else if (c->carry) { free(c->carry); c->carry = NULL; c->ccap = c->ncarry = 0; }
}
static void on_event(struct conn *c, uint32_t ev) {
    if (c->st == ST_CLOSED) return;
    if (c->st == ST_CONNECTING && (ev & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        int err = 0; socklen_t l = sizeof err; getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
        if (err || send_handshake(c)) { drop(c, &S->fail_connect); return; }
        return;
    }
    if ((ev & EPOLLOUT) && c->nout && flush_out(c)) { drop(c, NULL); return; }
    if (c->slow && c->st == ST_OPEN && !draining) {                        /* server gave up on a slow reader */
        if (ev & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) drop(c, NULL);   /* unread data may be lost: we only note when */
        return;
    }
    if (ev & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) on_readable(c, c->slow && c->st == ST_HS ? 1024 : RDBUF);
}

static void on_sig(int s) { (void)s; stop_sig = 1; }

/* ---- one worker process: connections first..first+count-1 */
static void worker(uint32_t first, uint32_t count) {
    rb = xrealloc(NULL, RDBUF + 2 * BIG_FRAME + 4096);
    C = calloc(count, sizeof *C); if (!C) die("out of memory");
    if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll: %s", strerror(errno));
    S->wanted = count;
    for (uint32_t i = 0; i < count; i++) {
        C[i].idx = first + i; C[i].fd = -1;
        /* slow readers are spread evenly over the connections */
        uint64_t g = first + i;
        uint64_t ns = (uint64_t)O.slow, tot = (uint64_t)O.n;
        C[i].slow = ns && (g * ns / tot != (g + 1) * ns / tot);
        if (C[i].slow) S->slow_conns++; else n_fast++;
    }
    n_pending = (long)count;
    uint32_t next = 0;
    uint64_t t0 = now_ns(), t_ready = 0, last_tick = t0, t_end_linger = 0, t_drain = 0;
    struct epoll_event ev[512];
    const char *why = "expect";
    for (;;) {
        uint64_t now = now_ns();
        while (next < count && n_inflight < O.inflight &&
               (O.rate <= 0 || (double)next < (double)(now - t0) / 1e9 * O.rate + 1)) {
            start_conn(&C[next++]);
        }
        if (!t_ready && next == count && (n_pending == 0) &&
            (n_pre_done == (long)count || now - t0 > (uint64_t)(O.conn_timeout * 1e9))) {
            t_ready = now; S->preamble_short = (int)((long)count - n_pre_done); S->ready = 1;
        }
        if (!t_ready && now - t0 > (uint64_t)(O.conn_timeout * 1e9)) {       /* give up on stragglers */
            for (uint32_t i = 0; i < next; i++)
                if (C[i].st == ST_CONNECTING || C[i].st == ST_HS) drop(&C[i], &S->fail_timeout);
            if (next < count) { S->fail_timeout += count - next; S->failed += count - next; n_pending -= count - next;
                for (; next < count; next++) { C[next].st = ST_CLOSED; pre_complete(&C[next]); finish_fast(&C[next]); } }
        }
        if (stop_sig) { why = "signal"; break; }
        bool ended = false;
        if (t_drain) { if (now >= t_drain || S->slow_closed + S->slow_complete >= S->slow_conns) break; }
        else if (t_ready) {
            if (S->opened == 0) { why = "no connections"; break; }
            if (t_end_linger) ended = now >= t_end_linger;
            else if ((O.expect || O.last >= 0) && n_fast && n_done_fast >= n_fast) { S->complete = 1; t_end_linger = now + (uint64_t)(O.linger * 1e9); continue; }
            else if (O.idle > 0 && S->t_last && now - S->t_last > (uint64_t)(O.idle * 1e9)) { why = "idle"; ended = true; }
            else if (now - t_ready > (uint64_t)(O.timeout * 1e9)) { why = "timeout"; ended = true; }
            if (ended) {                /* last phase: see what became of the slow readers */
                if (!S->slow_conns || O.slow_drain <= 0) break;
                draining = true; t_drain = now + (uint64_t)(O.slow_drain * 1e9); O.slow_rate = 0;
                for (uint32_t i = 0; i < count; i++) if (C[i].slow && C[i].st == ST_OPEN) ep_set(&C[i]);
            }
        }
        int wait = O.slow_rate > 0 ? 10 : 50;
        if (O.rate > 0 && next < count) wait = 1;
        if (t_end_linger) wait = 1;
        int k = epoll_wait(ep, ev, 512, wait);
        for (int i = 0; i < k; i++) on_event(ev[i].data.ptr, ev[i].events);
        if (O.slow_rate > 0 && O.slow && (now = now_ns()) - last_tick >= 20000000) {   /* trickle */
            size_t q = (size_t)(O.slow_rate * (double)(now - last_tick) / 1e9); last_tick = now;
            for (uint32_t i = 0; q && i < count; i++)
                if (C[i].slow && C[i].st == ST_OPEN) on_readable(&C[i], q);
        }
    }
    S->cpu_total = cpu_s(); S->cpu_msgs = S->t_first ? S->cpu_total - cpu_at_first : 0;
    snprintf(S->why, sizeof S->why, "%s", why);
    for (uint32_t i = 0; i < count; i++) {
        if (C[i].slow) continue;
        if (O.expect) {
            if (C[i].msgs < (uint64_t)O.expect) { S->short_conns++; S->missing += (uint64_t)O.expect - C[i].msgs; }
            else S->surplus += C[i].msgs - (uint64_t)O.expect;
        }
        if (C[i].msgs) {
            if (!S->next_max || C[i].next < S->next_min) S->next_min = C[i].next;
            if (C[i].next > S->next_max) S->next_max = C[i].next;
        }
        if (O.last >= 0 && C[i].next <= (uint64_t)O.last) {
            uint64_t from = !C[i].msgs && O.first > 0 ? (uint64_t)O.first : C[i].next;
            S->short_conns++; S->missing += (uint64_t)O.last + 1 - from;
        }
        if (O.close_on_end && C[i].st == ST_OPEN) send_frame(&C[i], 8, "\x03\xe8", 2);
    }
    S->done = 1;
}

static void merge(struct stats *a, const struct stats *b) {
#define ADD(f) a->f += b->f
    ADD(wanted); ADD(opened); ADD(failed); ADD(fail_connect); ADD(fail_http); ADD(fail_accept); ADD(fail_closed);
    ADD(fail_timeout); ADD(preamble_short); ADD(msgs); ADD(payload_bytes); ADD(wire_bytes); ADD(frames); ADD(reads);
    ADD(gaps); ADD(ooo); ADD(unmarked); ADD(compressed); ADD(text_pongs); ADD(pings); ADD(server_close); ADD(proto_err);
    ADD(negative_lat); ADD(closed_early); ADD(short_conns); ADD(missing); ADD(surplus); ADD(slow_conns); ADD(slow_msgs);
    ADD(slow_bytes); ADD(slow_closed); ADD(slow_gaps); ADD(slow_complete); ADD(counted); ADD(cpu_total); ADD(cpu_msgs);
#define MIN0(f) if (b->f && (!a->f || b->f < a->f)) a->f = b->f
#define MAX0(f) if (b->f > a->f) a->f = b->f
    MIN0(t_conn0); MAX0(t_conn1); MIN0(t_first); MAX0(t_last); MIN0(t_stamp0); MIN0(slow_close_first); MAX0(slow_close_last);
    MAX0(first_http_status); MIN0(next_min); MAX0(next_max);
    for (int i = 0; i < 8; i++) for (int j = 0; b->close_codes[i] && j < 8; j++)
        if (a->close_code[j] == b->close_code[i] || !a->close_codes[j]) { a->close_code[j] = b->close_code[i]; a->close_codes[j] += b->close_codes[i]; break; }
    if (strcmp(b->why, "expect") || !a->why[0]) memcpy(a->why, b->why, sizeof a->why);
    hmerge(&a->lat, &b->lat); hmerge(&a->conn, &b->conn);
}
static void ready_line(const struct stats *s) {
    double d = (double)(s->t_conn1 - s->t_conn0) / 1e9;
    printf("{\"event\":\"ready\",\"opened\":%llu,\"failed\":%llu,\"http_status\":%d,\"preamble_short\":%d,\"connect_s\":%.4f,\"connect_per_s\":%.0f,\"connect_p50_us\":%.0f,\"connect_p99_us\":%.0f}\n",
           (unsigned long long)s->opened, (unsigned long long)s->failed, s->first_http_status, s->preamble_short,
           s->opened ? d : 0, s->opened && d > 0 ? (double)s->opened / d : 0, (double)hq(&s->conn, .5) / 1e3, (double)hq(&s->conn, .99) / 1e3);
    fflush(stdout);
}
static void summary(const struct stats *s) {
#define U(x) ((unsigned long long)(x))
    double cd = s->opened ? (double)(s->t_conn1 - s->t_conn0) / 1e9 : 0;
    double d = s->t_first ? (double)(s->t_last - s->t_first) / 1e9 : 0;
    double sp = s->t_stamp0 && s->t_last ? (double)(s->t_last - s->t_stamp0) / 1e9 : d;
    printf("{\"event\":\"summary\",\"version\":\"" VERSION "\",\"end\":\"%s\",\"wanted\":%llu,\"opened\":%llu,\"failed\":%llu,", s->why, U(s->wanted), U(s->opened), U(s->failed));
    printf("\"fail\":{\"connect\":%llu,\"http\":%llu,\"accept\":%llu,\"closed\":%llu,\"timeout\":%llu,\"http_status\":%d},",
           U(s->fail_connect), U(s->fail_http), U(s->fail_accept), U(s->fail_closed), U(s->fail_timeout), s->first_http_status);
    printf("\"connect_s\":%.4f,\"connect_per_s\":%.0f,\"connect_p50_us\":%.0f,\"connect_p99_us\":%.0f,", cd, cd > 0 ? (double)s->opened / cd : 0,
           (double)hq(&s->conn, .5) / 1e3, (double)hq(&s->conn, .99) / 1e3);
    printf("\"msgs\":%llu,\"payload_bytes\":%llu,\"wire_bytes\":%llu,\"frames\":%llu,\"reads\":%llu,\"pings\":%llu,\"text_pongs\":%llu,",
           U(s->msgs), U(s->payload_bytes), U(s->wire_bytes), U(s->frames), U(s->reads), U(s->pings), U(s->text_pongs));
    printf("\"gaps\":%llu,\"out_of_order\":%llu,\"unmarked\":%llu,\"compressed\":%llu,\"missing\":%llu,\"short_conns\":%llu,\"surplus\":%llu,\"counted\":%llu,\"next_min\":%llu,\"next_max\":%llu,\"closed_by_server\":%llu,\"proto_errors\":%llu,",
           U(s->gaps), U(s->ooo), U(s->unmarked), U(s->compressed), U(s->missing), U(s->short_conns), U(s->surplus), U(s->counted), U(s->next_min), U(s->next_max), U(s->closed_early), U(s->proto_err));
    printf("\"close_codes\":{"); for (int i = 0, f = 0; i < 8; i++) if (s->close_codes[i]) printf("%s\"%u\":%llu", f++ ? "," : "", s->close_code[i], U(s->close_codes[i]));
    printf("},\"duration_s\":%.6f,\"span_s\":%.6f,\"deliveries_per_s\":%.0f,\"span_deliveries_per_s\":%.0f,", d, sp, d > 0 ? (double)s->msgs / d : 0, sp > 0 ? (double)s->msgs / sp : 0);
    printf("\"t_first_ns\":%llu,\"t_last_ns\":%llu,", U(s->t_first), U(s->t_last));
    printf("\"lat_us\":{\"count\":%llu,\"min\":%.1f,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"negative\":%llu},",
           U(s->lat.n), (double)s->lat.min / 1e3, s->lat.n ? (double)s->lat.sum / (double)s->lat.n / 1e3 : 0, (double)hq(&s->lat, .5) / 1e3, (double)hq(&s->lat, .9) / 1e3,
           (double)hq(&s->lat, .99) / 1e3, (double)hq(&s->lat, .999) / 1e3, (double)s->lat.max / 1e3, U(s->negative_lat));
    printf("\"slow\":{\"conns\":%llu,\"msgs\":%llu,\"bytes\":%llu,\"gaps\":%llu,\"complete\":%llu,\"closed\":%llu,\"first_close_s\":%.3f,\"last_close_s\":%.3f},",
           U(s->slow_conns), U(s->slow_msgs), U(s->slow_bytes), U(s->slow_gaps), U(s->slow_complete), U(s->slow_closed), (double)s->slow_close_first / 1e9, (double)s->slow_close_last / 1e9);
    printf("\"client\":{\"cpu_s\":%.3f,\"cpu_msgs_s\":%.3f,\"busy\":%.2f,\"us_per_msg\":%.3f}}\n", s->cpu_total, s->cpu_msgs, d > 0 ? s->cpu_msgs / d : 0,
           s->msgs ? s->cpu_msgs * 1e6 / (double)s->msgs : 0);
    fflush(stdout);
}

static const char USAGE[] =
"usage: wsload [options]\n"
" target      -H,--host A  -p,--port N  -u,--path P ({i} = connection index, {w} = word)\n"
"             --header 'K: V' (repeatable)  --deflate (offer permessage-deflate; such messages are counted only)\n"
"             --words FILE (a line of it for each connection, over and over)\n"
" clients     -c,--conns N  --rate N/s  --inflight N (handshakes at a time, 256)  --conn-timeout S (30)\n"
"             --rcvbuf B  --src-base 127.0.0.1  --src-count K (spread over K source addresses)  --procs P  --cpu K (pin)\n"
" subscribe   --send-text S  --send-bin S (repeatable, after the handshake; \\r \\n \\xHH, {i} and {w} are expanded)\n"
"             --preamble K (first K messages per connection are not counted; READY waits for them)\n"
"             --text-pong FROM=TO (answer a text message FROM with TO, not counted; Socket.IO: 2=3)\n"
" messages    --seq-key n  --time-key t   JSON keys of the sequence number and of the CLOCK_MONOTONIC ns stamp\n"
"             --stream (a frame is not a message: scan the byte stream for the keys, seq before time; NATS)\n"
"             --marked (a message without the sequence key is none)  --count TEXT (how many messages contain it)\n"
" end         -e,--expect M (messages per connection)  --last N (or until that sequence number)\n"
"             --first N (a connection whose first sequence number is higher has a gap)  -t,--timeout S after ready (60)  --idle S  --linger S (says \"complete\" when it begins)  --close\n"
" slow        --slow N|P%  --slow-rate B/s (0: never read)  --slow-rcvbuf B\n"
"             --slow-drain S (at the end read the slow ones freely for S seconds: were they closed, did they lose messages?)\n"
" output      --hist FILE (latency histogram as CSV)  -q (no ready line)\n";

int main(int argc, char **argv) {
    enum { HEADER = 256, COUNT, FIRST, LAST, MARKED, DEFL, RATE, INFL, CTO, RCVB, SRCB, SRCC, PROCS, CPU, STXT, SBIN, PRE, TPONG, SEQ, TIM, STREAM, IDLE, LINGER, CLOSE, SLOW, SRATE, SRCV, SDRAIN, HISTF, WORDS, VER };
    static const struct option L[] = {
        { "host", 1, 0, 'H' }, { "port", 1, 0, 'p' }, { "path", 1, 0, 'u' }, { "conns", 1, 0, 'c' }, { "expect", 1, 0, 'e' }, { "timeout", 1, 0, 't' },
        { "header", 1, 0, HEADER }, { "deflate", 0, 0, DEFL }, { "count", 1, 0, COUNT }, { "first", 1, 0, FIRST }, { "last", 1, 0, LAST }, { "marked", 0, 0, MARKED }, { "rate", 1, 0, RATE }, { "inflight", 1, 0, INFL }, { "conn-timeout", 1, 0, CTO },
        { "rcvbuf", 1, 0, RCVB }, { "src-base", 1, 0, SRCB }, { "src-count", 1, 0, SRCC }, { "procs", 1, 0, PROCS }, { "cpu", 1, 0, CPU },
        { "send-text", 1, 0, STXT }, { "send-bin", 1, 0, SBIN }, { "preamble", 1, 0, PRE }, { "text-pong", 1, 0, TPONG }, { "seq-key", 1, 0, SEQ },
        { "time-key", 1, 0, TIM }, { "stream", 0, 0, STREAM }, { "idle", 1, 0, IDLE }, { "linger", 1, 0, LINGER }, { "close", 0, 0, CLOSE }, { "slow", 1, 0, SLOW },
        { "slow-rate", 1, 0, SRATE }, { "slow-rcvbuf", 1, 0, SRCV }, { "slow-drain", 1, 0, SDRAIN }, { "hist", 1, 0, HISTF }, { "words", 1, 0, WORDS }, { "version", 0, 0, VER }, { "help", 0, 0, 'h' }, { 0, 0, 0, 0 } };
    int o; const char *slow = NULL;
    while ((o = getopt_long(argc, argv, "H:p:u:c:e:t:qh", L, NULL)) != -1) switch (o) {
        case 'H': O.host = optarg; break; case 'p': O.port = optarg; break; case 'u': O.path = optarg; break;
        case 'c': O.n = atol(optarg); break; case 'e': O.expect = atol(optarg); break; case 't': O.timeout = atof(optarg); break;
        case 'q': O.quiet = 1; break;
        case HEADER: if (O.nhdr == 16) die("too many headers"); O.hdr[O.nhdr++] = optarg; break;
        case COUNT: O.count = optarg; break; case FIRST: O.first = atoll(optarg); break; case LAST: O.last = atoll(optarg); break; case MARKED: O.marked = 1; break;
        case DEFL: O.deflate = 1; break; case RATE: O.rate = atof(optarg); break; case INFL: O.inflight = atol(optarg); break;
        case CTO: O.conn_timeout = atof(optarg); break; case RCVB: O.rcvbuf = atol(optarg); break;
        case SRCB: O.src_base = optarg; if (!O.src_count) O.src_count = 1; break; case SRCC: O.src_count = atoi(optarg); break;
        case PROCS: O.procs = atol(optarg); break; case CPU: O.cpu = atol(optarg); break;
        case STXT: case SBIN: if (O.nsnd == MAX_SENDS) die("too many sends"); O.snd[O.nsnd].s = optarg; O.snd[O.nsnd++].bin = o == SBIN; break;
        case PRE: O.preamble = atol(optarg); break;
        case TPONG: { char *e = strchr(optarg, '='); if (!e) die("--text-pong FROM=TO"); *e = 0; O.tp_from = optarg; O.tp_to = e + 1; break; }
        case SEQ: O.seq_key = optarg; break; case TIM: O.time_key = optarg; break; case STREAM: O.stream = 1; break;
        case IDLE: O.idle = atof(optarg); break; case LINGER: O.linger = atof(optarg); break; case CLOSE: O.close_on_end = 1; break;
        case SLOW: slow = optarg; break; case SRATE: O.slow_rate = atof(optarg); break; case SRCV: O.slow_rcvbuf = atol(optarg); break; case SDRAIN: O.slow_drain = atof(optarg); break;
        case HISTF: O.hist_file = optarg; break; case WORDS: read_words(optarg); break;
        case VER: puts("wsload " VERSION); return 0;
        default: fputs(USAGE, stderr); return o == 'h' ? 0 : 2;
    }
    if (optind < argc) { fputs(USAGE, stderr); return 2; }
    if (O.n < 1 || O.inflight < 1 || O.procs < 1 || O.procs > 64 || O.procs > O.n) die("bad --conns, --inflight or --procs");
    if (strlen(O.seq_key) > 32 || strlen(O.time_key) > 32) die("key too long");
    if (O.stream && O.preamble) die("--preamble has no meaning with --stream");
    if (slow) O.slow = strchr(slow, '%') ? (long)(atof(slow) * (double)O.n / 100 + .5) : atol(slow);
    if (O.slow < 0 || O.slow > O.n) die("bad --slow");
    seq_len = (size_t)sprintf(seq_pat, "\"%s\":", O.seq_key);
    time_len = *O.time_key ? (size_t)sprintf(time_pat, "\"%s\":", O.time_key) : 0;

    struct rlimit rl; getrlimit(RLIMIT_NOFILE, &rl); rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl);
    long per = (O.n + O.procs - 1) / O.procs;
    if ((rlim_t)per + 16 > rl.rlim_cur) die("%ld connections per process, but only %llu file descriptors: use --procs or raise the hard limit", per, (unsigned long long)rl.rlim_cur);
    struct addrinfo hint = { .ai_socktype = SOCK_STREAM }, *ai;
    int g = getaddrinfo(O.host, O.port, &hint, &ai);
    if (g) die("%s: %s", O.host, gai_strerror(g));
    memcpy(&dst, ai->ai_addr, ai->ai_addrlen); dstlen = ai->ai_addrlen; freeaddrinfo(ai);

    struct stats *all = mmap(NULL, sizeof(struct stats) * (size_t)O.procs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) die("mmap: %s", strerror(errno));
    struct sigaction sa = { .sa_handler = on_sig }; sigaction(SIGINT, &sa, NULL); sigaction(SIGTERM, &sa, NULL); signal(SIGPIPE, SIG_IGN);
    fflush(NULL);
    pid_t pid[64];
    /* the parent only watches; workers do the work, so that one process and many look alike */
    for (long w = 0; w < O.procs; w++) {
        uint32_t a = (uint32_t)(O.n * w / O.procs), b = (uint32_t)(O.n * (w + 1) / O.procs);
        if ((pid[w] = fork()) < 0) die("fork: %s", strerror(errno));
        if (!pid[w]) {
            if (O.cpu >= 0) { cpu_set_t cs; CPU_ZERO(&cs); CPU_SET((int)O.cpu, &cs); sched_setaffinity(0, sizeof cs, &cs); }
            S = &all[w]; worker(a, b - a); _exit(0);
        }
    }
    int alive = (int)O.procs; bool said = O.quiet, told = O.quiet || O.linger <= 0, lost = false;
    static struct stats sum;
    while (alive) {
        int r = 0; pid_t k = waitpid(-1, &r, WNOHANG);
        if (k > 0) { alive--; if (!WIFEXITED(r) || WEXITSTATUS(r)) { lost = true; for (long w = 0; w < O.procs; w++) if (pid[w] == k) all[w].ready = 1; } }
        if (!said) {
            bool rdy = true; for (long w = 0; w < O.procs; w++) rdy &= all[w].ready;
            if (rdy) { memset(&sum, 0, sizeof sum); for (long w = 0; w < O.procs; w++) merge(&sum, &all[w]); ready_line(&sum); said = true; }
        }
        if (said && !told) {
            told = true; for (long w = 0; w < O.procs; w++) told &= all[w].complete;
            if (told) { printf("{\"event\":\"complete\"}\n"); fflush(stdout); }
        }
        if (stop_sig) { stop_sig = 0; for (long w = 0; w < O.procs; w++) kill(pid[w], SIGTERM); }
        if (alive) usleep(2000);
    }
    memset(&sum, 0, sizeof sum);
    for (long w = 0; w < O.procs; w++) merge(&sum, &all[w]);
    if (lost) snprintf(sum.why, sizeof sum.why, "worker failed");
    summary(&sum);
    if (O.hist_file) {
        FILE *f = fopen(O.hist_file, "w"); if (!f) die("%s: %s", O.hist_file, strerror(errno));
        fputs("upper_ns,count\n", f);
        for (unsigned i = 0; i < HBUCKETS; i++) if (sum.lat.b[i]) fprintf(f, "%llu,%llu\n", U(hval(i)), U(sum.lat.b[i]));
        fclose(f);
    }
    return lost || sum.opened < sum.wanted || sum.proto_err || ((O.expect || O.last >= 0) && sum.missing) ? 1 : 0;
}
