/* A Modbus TCP server on libmodbus: holding registers from a file, one number a line, until killed. */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    modbus_mapping_t *mapping = NULL;
    uint16_t registers[65536];
    int count = 0, value;
    FILE *file = fopen(argv[2], "r");
    while (file && count < 65536 && fscanf(file, "%d", &value) == 1) registers[count++] = (uint16_t)value;
    modbus_t *context = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
    mapping = modbus_mapping_new(16, 16, count, 16);
    for (int at = 0; at < count; at++) mapping->tab_registers[at] = registers[at];
    int listening = modbus_tcp_listen(context, 16);
    puts("ready");
    fflush(stdout);
    fd_set all, ready;
    int most = listening;
    FD_ZERO(&all);
    FD_SET(listening, &all);
    for (;;) {
        ready = all;
        if (select(most + 1, &ready, NULL, NULL, NULL) < 0) return 1;
        for (int each = 0; each <= most; each++) {
            if (!FD_ISSET(each, &ready)) continue;
            if (each == listening) {
                int client = listening;
                modbus_tcp_accept(context, &client);
                client = modbus_get_socket(context);
                FD_SET(client, &all);
                if (client > most) most = client;
                continue;
            }
            uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
            modbus_set_socket(context, each);
            int length = modbus_receive(context, query);
            if (length > 0) {
                modbus_reply(context, query, length, mapping);
            } else if (length == -1) {
                close(each);
                FD_CLR(each, &all);
            }
        }
    }
}
