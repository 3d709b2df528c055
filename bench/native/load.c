// A load generator for machines without wrk: keep-alive connections (or a new one for each request)
// on one thread, each with one request under way. Prints one line of JSON.
//
//     load PORT CONNECTIONS SECONDS [close]
//
// It reads Content-Length and chunked bodies, counts every answer that is not 200 as an error, and
// keeps the latencies in a histogram of microseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 65536, BUCKETS = 2000000, MAX_CONNECTIONS = 16384 };

struct connection {
  int fd, length;
  int64_t started;
  char buffer[BUFFER];
};

static struct connection *connections[MAX_CONNECTIONS];
static uint32_t histogram[BUCKETS];
static uint64_t requests, errors;
static struct sockaddr_in address = {.sin_family = AF_INET};
static int poll_fd, closing;
static char request[256];
static int request_length;

static int64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void send_request(struct connection *c) {
  c->length = 0;
  if (!closing) c->started = now_us();
  if (send(c->fd, request, request_length, MSG_NOSIGNAL) != request_length) errors++;
}

static void open_connection(int index) {
  struct connection *c = connections[index];
  int one = 1;
  c->started = now_us();
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (c->fd < 0 || connect(c->fd, (void *)&address, sizeof address)) {
    perror("connect");
    exit(1);
  }
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event interest = {.events = EPOLLIN, .data.u32 = index};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &interest);
  send_request(c);
}

// Whether the buffer holds one whole answer.
static int is_complete(struct connection *c) {
  char *end = memmem(c->buffer, c->length, "\r\n\r\n", 4);
  if (!end) return 0;
  int head = end - c->buffer + 4, body = c->length - head;
  *end = 0; // strcasestr reads up to here; put back below.
  char *length = strcasestr(c->buffer, "\r\ncontent-length:");
  char *chunked = strcasestr(c->buffer, "\r\ntransfer-encoding:");
  long wanted = length ? atol(length + 17) : 0;
  *end = '\r';
  if (length) return body >= wanted;
  if (chunked) return body >= 5 && !memcmp(c->buffer + c->length - 5, "0\r\n\r\n", 5);
  return 1;
}

static void finish(int index) {
  struct connection *c = connections[index];
  int64_t took = now_us() - c->started;
  histogram[took < BUCKETS ? took : BUCKETS - 1]++;
  if (memcmp(c->buffer, "HTTP/1.1 200", 12)) errors++;
  requests++;
  if (!closing) return send_request(c);
  close(c->fd);
  open_connection(index);
}

static void on_readable(int index) {
  struct connection *c = connections[index];
  ssize_t got = recv(c->fd, c->buffer + c->length, BUFFER - c->length, 0);
  if (got > 0) {
    c->length += got;
    if (is_complete(c)) return finish(index);
    if (c->length < BUFFER) return;
  }
  errors++;
  close(c->fd);
  open_connection(index);
}

static int64_t percentile(double share) {
  uint64_t seen = 0, wanted = requests * share;
  for (int us = 0; us < BUCKETS; us++)
    if ((seen += histogram[us]) > wanted) return us;
  return BUCKETS;
}

int main(int argc, char **argv) {
  if (argc < 4) return fprintf(stderr, "load PORT CONNECTIONS SECONDS [close]\n"), 2;
  int count = atoi(argv[2]);
  if (count < 1 || count > MAX_CONNECTIONS) return 2;
  closing = argc > 4 && !strcmp(argv[4], "close");
  address.sin_port = htons(atoi(argv[1]));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  request_length = snprintf(request, sizeof request,
                            "GET / HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n%s\r\n", argv[1],
                            closing ? "Connection: close\r\n" : "");
  poll_fd = epoll_create1(0);
  for (int i = 0; i < count; i++) {
    connections[i] = malloc(sizeof *connections[i]);
    open_connection(i);
  }
  int64_t start = now_us(), end = start + (int64_t)(atof(argv[3]) * 1e6);
  struct epoll_event ready[512];
  while (now_us() < end) {
    int n = epoll_wait(poll_fd, ready, 512, 100);
    for (int i = 0; i < n; i++) on_readable(ready[i].data.u32);
  }
  printf("{\"requests\":%lu,\"errors\":%lu,\"seconds\":%.3f,\"p50us\":%ld,\"p99us\":%ld}\n",
         requests, errors,
         (now_us() - start) / 1e6, percentile(0.5), percentile(0.99));
  return 0;
}
