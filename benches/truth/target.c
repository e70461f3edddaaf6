/* A target that keeps its own record: when each request arrived and when its answer left.
 *
 *   cc -O2 -o target target.c -lm && ./target RECORD     prints its port; SIGTERM writes RECORD and ends it
 *
 *   GET /constant/MICROS          answers after MICROS
 *   GET /log-normal/MICROS/SIGMA  answers after a time drawn from a log-normal distribution with the median MICROS
 *
 * A request arrives when the kernel has its last bytes (SO_TIMESTAMPING), not when this program gets round to reading them: beside busy
 * neighbors a target reads late, too, and that lateness is part of the response time that a client sees. Each line of RECORD
 * is `arrival response`, in nanoseconds of the monotonic clock. One thread, HTTP/1.1 with keep-alive, requests without bodies, no pipelining.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST_RECORDS = 4000000, MOST_CONNECTIONS = 20000 };

struct connection { int fd, held, waiting; uint64_t arrival; char request[4096]; };
struct due { uint64_t at; int connection; };
struct record { uint64_t arrival, response; };

static struct connection *connections[MOST_CONNECTIONS];
static struct due heap[MOST_CONNECTIONS];
static struct record *records;
static int heap_size, record_count, epoll_fd;
static volatile sig_atomic_t stopping;

static void stop(int signal) { (void)signal; stopping = 1; }

static uint64_t read_clock(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- when answers are due: a binary heap --- */

static void push(struct due due) {
    int at = heap_size++;
    for (; at && heap[(at - 1) / 2].at > due.at; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = due;
}

static struct due pop(void) {
    struct due first = heap[0], last = heap[--heap_size];
    int at = 0;
    for (int child; (child = 2 * at + 1) < heap_size; at = child) {
        if (child + 1 < heap_size && heap[child + 1].at < heap[child].at) child++;
        if (last.at <= heap[child].at) break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return first;
}

/* --- requests and answers --- */

static double uniform(void) { return (random() + 0.5) / 2147483648.0; }

/* Microseconds, as the path wants them. */
static double delay_of(const char *path) {
    double median = 0, sigma = 0;
    if (sscanf(path, "/constant/%lf", &median) == 1) return median;
    if (sscanf(path, "/log-normal/%lf/%lf", &median, &sigma) == 2)
        return median * exp(sigma * sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform()));
    return 0;
}

static void answer(int index) {
    static const char response[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    struct connection *connection = connections[index];
    connection->waiting = 0;
    uint64_t now = read_clock(CLOCK_MONOTONIC);
    if (connection->fd >= 0 && write(connection->fd, response, sizeof response - 1) == (ssize_t)sizeof response - 1 && record_count < MOST_RECORDS)
        records[record_count++] = (struct record){connection->arrival, now};
}

static void take(int index, uint64_t arrival) {
    struct connection *connection = connections[index];
    connection->request[connection->held] = 0;
    if (!strstr(connection->request, "\r\n\r\n")) return;
    char *path = strchr(connection->request, ' ');
    double delay = path ? delay_of(path + 1) : 0;
    connection->held = 0;
    connection->arrival = arrival;
    connection->waiting = 1;
    push((struct due){arrival + (uint64_t)(delay * 1000), index});
}

/* The kernel's time of arrival on the monotonic clock, or now if it has none. */
static uint64_t arrival_of(struct msghdr *message) {
    uint64_t now = read_clock(CLOCK_MONOTONIC), offset = read_clock(CLOCK_REALTIME) - now;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMPING) continue;
        struct timespec stamp = ((struct scm_timestamping *)CMSG_DATA(control))->ts[0];
        uint64_t arrival = (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec;
        if (arrival && arrival - offset <= now) return arrival - offset;
    }
    return now;
}

static void readable(int index) {
    struct connection *connection = connections[index];
    char control[256];
    size_t room = sizeof connection->request - 1 - (size_t)connection->held;
    struct iovec into = {connection->request + connection->held, room};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t count = recvmsg(connection->fd, &message, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0 || connection->waiting) {
        close(connection->fd);
        connection->fd = -1;
        return;
    }
    connection->held += (int)count;
    take(index, arrival_of(&message));
}

static void accept_all(int listener) {
    static int next;
    int one = 1, stamps = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    for (int fd; next < MOST_CONNECTIONS && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0; next++) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps);
        connections[next] = calloc(1, sizeof **connections);
        connections[next]->fd = fd;
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.u32 = (uint32_t)next});
    }
}

int main(int count, char **arguments) {
    const uint32_t LISTENER = MOST_CONNECTIONS, TIMER = MOST_CONNECTIONS + 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (count != 2 || bind(listener, (void *)&address, size) || listen(listener, 4096) || getsockname(listener, (void *)&address, &size)) {
        fprintf(stderr, "usage: target RECORD\n");
        return 1;
    }
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    srandom((unsigned)read_clock(CLOCK_REALTIME));
    records = calloc(MOST_RECORDS, sizeof *records);
    epoll_fd = epoll_create1(0);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.u32 = LISTENER});
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer, &(struct epoll_event){.events = EPOLLIN, .data.u32 = TIMER});
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (!stopping) {
        struct epoll_event events[256];
        while (heap_size && heap[0].at <= read_clock(CLOCK_MONOTONIC)) answer(pop().connection);
        uint64_t next = heap_size ? heap[0].at : 0;
        struct itimerspec wanted = {.it_value = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)}};
        timerfd_settime(timer, TFD_TIMER_ABSTIME, &wanted, NULL);
        int ready = epoll_wait(epoll_fd, events, 256, 1000);
        for (int at = 0; at < ready; at++) {
            uint32_t of = events[at].data.u32;
            uint64_t expirations;
            if (of == LISTENER) accept_all(listener);
            else if (of == TIMER) (void)!read(timer, &expirations, sizeof expirations);
            else if (connections[of]->fd >= 0) readable((int)of);
        }
    }
    FILE *file = fopen(arguments[1], "w");
    if (!file) return 1;
    for (int at = 0; at < record_count; at++)
        fprintf(file, "%llu %llu\n", (unsigned long long)records[at].arrival, (unsigned long long)records[at].response);
    return fclose(file) ? 1 : 0;
}
