// What receive timestamps of the kernel cost, apart from otload: a request and its response over loopback, by one thread.
//
//   cc -O2 -o /tmp/timestamps benches/timestamps.c && /tmp/timestamps
//
// Each round measures all three, one after the other, in another order each time; the ratio of a round is less noisy than any of its times.
// The first two rows differ by the socket option, the last two by the call that reads. The option switches the notes on for
// all sockets of the machine, so the row without it is right only while no other program has it (tcpdump, ptp4l, otload).
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 61, EXCHANGES = 20000, KINDS = 3 };
static const char *NAMES[KINDS] = {"recv", "SO_TIMESTAMPING and recv", "SO_TIMESTAMPING and recvmsg"};
static char buffer[65536];

// Processor time of this process, in nanoseconds: a machine with neighbors does not count.
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static void check(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static double measure(int kind) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    check(bind(listener, (void *)&address, size), "bind");
    check(listen(listener, 1), "listen");
    check(getsockname(listener, (void *)&address, &size), "getsockname");
    check(connect(client, (void *)&address, size), "connect");
    int server = accept(listener, 0, 0);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int flags = 1 << 3 | 1 << 4; // RX_SOFTWARE, SOFTWARE
    if (kind > 0) check(setsockopt(client, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags), "SO_TIMESTAMPING");
    char control[128];
    double began = now();
    for (int i = 0; i < EXCHANGES; i++) {
        send(client, buffer, 100, MSG_NOSIGNAL);
        recv(server, buffer, sizeof buffer, 0);
        send(server, buffer, 150, MSG_NOSIGNAL);
        if (kind < 2) {
            recv(client, buffer, sizeof buffer, 0);
        } else {
            struct iovec part = {buffer, sizeof buffer};
            struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
            recvmsg(client, &message, 0);
        }
    }
    double took = (now() - began) / EXCHANGES;
    close(client), close(server), close(listener);
    usleep(1000); // The kernel switches its notes off a moment later.
    return took;
}

static int ascending(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }

int main(void) {
    static double times[KINDS][ROUNDS], ratios[KINDS][ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int at = 0; at < KINDS; at++) times[(at + round) % KINDS][round] = measure((at + round) % KINDS);
        for (int kind = 1; kind < KINDS; kind++) ratios[kind][round] = times[kind][round] / times[kind - 1][round];
    }
    for (int kind = 0; kind < KINDS; kind++) {
        qsort(times[kind], ROUNDS, sizeof(double), ascending);
        printf("%-28s %5.0f ns for both sides of an exchange", NAMES[kind], times[kind][ROUNDS / 2]);
        if (kind > 0) {
            qsort(ratios[kind], ROUNDS, sizeof(double), ascending);
            printf(", %.3f of the row above (quartiles %.3f to %.3f)", ratios[kind][ROUNDS / 2], ratios[kind][ROUNDS / 4], ratios[kind][ROUNDS * 3 / 4]);
        }
        puts("");
    }
}
