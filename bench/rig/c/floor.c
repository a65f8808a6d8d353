// The floor: one recvfrom and one sendto a message, from the caller to the callee and back; nothing is parsed.
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

static struct sockaddr_in at(const char *host) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(5060)};
    inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

int main(void) {
    struct sockaddr_in own = at("127.0.0.11"), caller = at("127.0.0.12"), callee = at("127.0.0.13"), from;
    int octets = 4 << 20, udp = socket(AF_INET, SOCK_DGRAM, 0);
    static char buffer[65536];
    setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
    if (bind(udp, (void *)&own, sizeof own)) {
        perror("bind");
        return 1;
    }
    for (;;) {
        socklen_t length = sizeof from;
        ssize_t got = recvfrom(udp, buffer, sizeof buffer, 0, (void *)&from, &length);
        if (got > 0) {
            struct sockaddr_in *to = from.sin_addr.s_addr == caller.sin_addr.s_addr ? &callee : &caller;
            sendto(udp, buffer, got, 0, (void *)to, sizeof *to);
        }
    }
}
