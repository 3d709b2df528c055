// A load generator for WebSockets: connections on one thread, each with one message under way,
// which the server sends back. Prints one line of JSON, as load.c does.
//
//     sockets PORT CONNECTIONS SECONDS ws|socket.io
//
// Messages are so short that a frame has a head of two bytes from the server and six to it.
// Anything unexpected is an error, and ends its connection.
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

enum { BUFFER = 4096, MAX_CONNECTIONS = 4096, BUCKETS = 1000000 };

struct connection {
  int fd, open;
  size_t length;
  char buffer[BUFFER];
  uint64_t sent_at;
};

static const char *message = "Hello, World!";
static int socketio;
static struct connection connections[MAX_CONNECTIONS];
static uint32_t histogram[BUCKETS];
static uint64_t requests, errors;

static uint64_t now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void fail(struct connection *it) {
  errors++;
  close(it->fd);
  it->fd = -1;
}

static void send_text(struct connection *it, const char *text) {
  size_t length = strlen(text);
  unsigned char frame[256] = {0x81, (unsigned char)(0x80 | length), 1, 2, 3, 4};
  for (size_t i = 0; i < length; i++) frame[6 + i] = (unsigned char)text[i] ^ frame[2 + i % 4];
  it->sent_at = now_us();
  if (send(it->fd, frame, 6 + length, MSG_NOSIGNAL) != (ssize_t)(6 + length)) fail(it);
}

// One text of the server: an echo, or a step of Socket.IO's greeting.
static void on_text(struct connection *it, const char *text, size_t length) {
  if (socketio && length > 0 && text[0] == '0') return send_text(it, "40");
  if (socketio && length > 1 && !memcmp(text, "40", 2)) return send_text(it, message);
  if (socketio && length == 1 && text[0] == '2') return send_text(it, "3");
  if (length != strlen(message) || memcmp(text, message, length)) return fail(it);
  uint64_t us = now_us() - it->sent_at;
  histogram[us < BUCKETS ? us : BUCKETS - 1]++;
  requests++;
  send_text(it, message);
}

static void readable(struct connection *it) {
  ssize_t count = recv(it->fd, it->buffer + it->length, BUFFER - it->length, 0);
  if (count <= 0) {
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    return fail(it);
  }
  it->length += (size_t)count;
  size_t at = 0;
  if (!it->open) {
    char *end = memmem(it->buffer, it->length, "\r\n\r\n", 4);
    if (end == NULL) return;
    if (memcmp(it->buffer, "HTTP/1.1 101", 12)) return fail(it);
    it->open = 1;
    at = (size_t)(end - it->buffer) + 4;
    if (!socketio) send_text(it, message);
  }
  while (it->fd >= 0 && it->length - at >= 2) {
    unsigned char *frame = (unsigned char *)it->buffer + at;
    size_t head = 2, length = frame[1];
    if (length == 126) {
      if (it->length - at < 4) break;
      head = 4;
      length = (size_t)frame[2] << 8 | frame[3];
    }
    if (frame[0] != 0x81 || length > BUFFER) return fail(it);
    if (it->length - at < head + length) break;
    at += head + length;
    on_text(it, (char *)frame + head, length);
  }
  memmove(it->buffer, it->buffer + at, it->length - at);
  it->length -= at;
}

static void open_connection(struct connection *it, int port, int epoll) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  it->fd = socket(AF_INET, SOCK_STREAM, 0);
  int one = 1;
  setsockopt(it->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char head[512];
  snprintf(head, sizeof head,
           "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
           socketio ? "/socket.io/?EIO=4&transport=websocket" : "/");
  if (connect(it->fd, (struct sockaddr *)&address, sizeof address) != 0) return fail(it);
  if (send(it->fd, head, strlen(head), MSG_NOSIGNAL) != (ssize_t)strlen(head)) return fail(it);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};
  epoll_ctl(epoll, EPOLL_CTL_ADD, it->fd, &event);
}

static uint64_t percentile(double share) {
  uint64_t wanted = (uint64_t)((double)requests * share), seen = 0;
  for (uint64_t us = 0; us < BUCKETS; us++) {
    seen += histogram[us];
    if (seen > wanted) return us;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "sockets PORT CONNECTIONS SECONDS ws|socket.io\n");
    return 2;
  }
  int port = atoi(argv[1]), count = atoi(argv[2]), epoll = epoll_create1(0);
  if (count < 1 || count > MAX_CONNECTIONS) return 2;
  socketio = !strcmp(argv[4], "socket.io");
  if (socketio) message = "42[\"echo\",\"Hello, World!\"]";
  uint64_t start = now_us(), end = start + (uint64_t)(atof(argv[3]) * 1e6);
  for (int i = 0; i < count; i++) open_connection(&connections[i], port, epoll);
  while (now_us() < end) {
    struct epoll_event events[256];
    int ready = epoll_wait(epoll, events, 256, 100);
    for (int i = 0; i < ready; i++) {
      struct connection *it = events[i].data.ptr;
      if (it->fd >= 0) readable(it);
    }
  }
  double seconds = (double)(now_us() - start) / 1e6;
  printf("{\"requests\":%llu,\"errors\":%llu,\"seconds\":%.3f,\"p50us\":%llu,\"p99us\":%llu}\n",
         (unsigned long long)requests, (unsigned long long)errors, seconds,
         (unsigned long long)percentile(0.5), (unsigned long long)percentile(0.99));
  return 0;
}
