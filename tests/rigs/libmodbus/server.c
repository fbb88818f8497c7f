/*
 * A Modbus device for tests and benchmarks whose protocol is libmodbus': TCP, RTU over TCP, or RTU on a pty.
 *
 *   server tcp PORT | server rtu-tcp PORT | server pty
 *
 * The first line on stdout is "ok PORT" or "ok PATH" (the pty's other end). Then each line on stdin is a command,
 * answered by one line "ok ..." or "error ...". End of stdin ends the server.
 *
 *   set UNIT TABLE ADDRESS VALUE...        tables: coil discrete input holding; a unit exists once it was set
 *   get UNIT TABLE ADDRESS COUNT
 *   fail UNIT TABLE FIRST LAST CODE        requests that touch these addresses get that exception (2: a hole)
 *   limit UNIT MOST CODE                   reads of more than MOST get that exception
 *   delay UNIT MS TIMES                    this unit's answers wait, others do not; TIMES 0: for ever; RTU keeps a
 *                                          unit's answers in order
 *   silent UNIT TIMES                      no answer; TIMES 0: for ever
 *   garble UNIT short|noise|flip|foreign TIMES
 *   torn UNIT ADDRESS COUNT SEQUENCE EVERY each EVERY-th read of holding registers changes COUNT registers and the
 *                                          sequence word, all to the same number
 *   tick UNIT ADDRESS COUNT PERIOD BASE    COUNT uint32 (ABCD, holding) hold floor((now - BASE) / PERIOD), all in us;
 *                                          may be said for several places
 *   polls UNIT ADDRESS                     a uint32 (ABCD, holding) that counts the reads that cover it
 *   heal                                   all of the above is over
 *   log                                    FUNCTION:UNIT:ADDRESS:COUNT of each request since the last log
 *   drop                                   resets every connection
 *   unplug | plug                          pty only: the line hangs up; a new one, with its path
 *
 * Framing is done here, so that whole answers can be held back, cut and garbled; what a request means, its CRC and
 * the bytes of its answer are libmodbus'.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <modbus/modbus.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { UNITS = 256, SPACE = 65536, LINES_MOST = 256, RULES = 256, CLOCKS = 256, PENDING = 1024, LOG_MOST = 65536, FRAME = 300 };
enum table { COIL, DISCRETE, INPUT, HOLDING, TABLES };
enum garble { CLEAN, SHORT, NOISE, FLIP, FOREIGN };
enum { IDLE_US = 30000 };

static const char *const TABLE_NAMES[TABLES] = {"coil", "discrete", "input", "holding"};
static const char *const GARBLE_NAMES[] = {"", "short", "noise", "flip", "foreign"};

struct fault {
    int times; /* -1: for ever, 0: over */
    int value;
};

struct unit {
    modbus_mapping_t *map;
    struct fault delay, silent, garble;
    int limit, limit_code;
    int torn_address, torn_count, torn_sequence, torn_every, torn_reads;
    int polls_address;
    unsigned polls;
};

struct rule {
    int unit, table, first, last, code;
};

struct ticking { /* uint32 that count the periods since a moment */
    int unit, address, count;
    long long period_us, base_us, tick;
};

struct line { /* one connection, or the pty */
    int fd;
    int held;
    long long last_us;
    uint8_t bytes[FRAME];
};

struct answer {
    int fd, length;
    long long due_us;
    uint8_t bytes[FRAME];
};

struct request {
    int unit, function, table, address, count;
    bool read;
};

static struct unit units[UNITS];
static struct rule rules[RULES];
static int rule_count;
static struct ticking clocks[CLOCKS];
static int clock_count;
static struct line lines[LINES_MOST];
static int line_count;
static struct answer pending[PENDING];
static int pending_count;
static char log_text[LOG_MOST][24];
static int log_count;
static modbus_t *context;
static int inner; /* our end of the socket pair whose other end is libmodbus' */
static bool rtu, is_pty;
static int listener = -1, pty_slave = -1;

static void fatal(const char *what)
{
    printf("error %s: %s\n", what, strerror(errno));
    exit(1);
}

static long long now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* -- what the device holds ------------------------------------------------------------------------------- */

static struct unit *unit_of(int number)
{
    struct unit *unit = &units[number & 0xFF];
    if (unit->map == NULL && (unit->map = modbus_mapping_new(SPACE, SPACE, SPACE, SPACE)) == NULL)
        fatal("mapping");
    return unit;
}

static void put_uint32(struct unit *unit, int address, unsigned value)
{
    unit->map->tab_registers[address] = (uint16_t)(value >> 16);
    unit->map->tab_registers[address + 1] = (uint16_t)value;
}

static bool covers(const struct request *asked, int address, int count)
{
    return asked->table == HOLDING && asked->address < address + count && address < asked->address + asked->count;
}

/* Bring what changes by itself to its state at this request. */
static void change(struct unit *unit, const struct request *asked)
{
    if (!asked->read || asked->table != HOLDING)
        return;
    for (int c = 0; c < clock_count; c++) {
        struct ticking *clock = &clocks[c];
        if (clock->unit != asked->unit || !covers(asked, clock->address, 2 * clock->count))
            continue;
        long long tick = (now_us(CLOCK_REALTIME) - clock->base_us) / clock->period_us;
        if (tick != clock->tick)
            for (int i = 0; i < clock->count; i++)
                put_uint32(unit, clock->address + 2 * i, (unsigned)tick);
        clock->tick = tick;
    }
    if (unit->polls_address >= 0 && covers(asked, unit->polls_address, 2))
        put_uint32(unit, unit->polls_address, ++unit->polls);
    if (unit->torn_every > 0 && ++unit->torn_reads % unit->torn_every == 0) {
        uint16_t next = (uint16_t)(unit->map->tab_registers[unit->torn_sequence] + 1);
        for (int i = 0; i < unit->torn_count; i++)
            unit->map->tab_registers[unit->torn_address + i] = next;
        unit->map->tab_registers[unit->torn_sequence] = next;
    }
}

static int exception_for(const struct unit *unit, const struct request *asked)
{
    for (int i = 0; i < rule_count; i++)
        if (rules[i].unit == asked->unit && rules[i].table == asked->table && rules[i].first < asked->address + asked->count
            && asked->address <= rules[i].last)
            return rules[i].code;
    return asked->read && unit->limit > 0 && asked->count > unit->limit ? unit->limit_code : 0;
}

static int take(struct fault *fault)
{
    if (fault->times == 0)
        return 0;
    if (fault->times > 0)
        fault->times--;
    return fault->value;
}

static void heal(void)
{
    rule_count = 0;
    clock_count = 0;
    for (int i = 0; i < UNITS; i++) {
        modbus_mapping_t *map = units[i].map;
        memset(&units[i], 0, sizeof units[i]);
        units[i].map = map;
        units[i].polls_address = -1;
    }
}

/* -- one request ----------------------------------------------------------------------------------------- */

/* Bytes that a whole frame needs, as far as can be seen from those that are here; 0: no frame begins so. */
static int frame_length(const uint8_t *bytes, int held)
{
    if (!rtu) {
        if (held < 6)
            return 6;
        int length = 6 + (bytes[4] << 8 | bytes[5]);
        return length >= 8 && length <= MODBUS_TCP_MAX_ADU_LENGTH ? length : 0;
    }
    if (held < 2)
        return 2;
    switch (bytes[1]) {
    case 1: case 2: case 3: case 4: case 5: case 6:
        return 8;
    case 15: case 16:
        return held < 7 ? 7 : 9 + bytes[6];
    case 22:
        return 10;
    case 23:
        return held < 11 ? 11 : 13 + bytes[10];
    default:
        return 4;
    }
}

static struct request understand(const uint8_t *frame)
{
    static const int tables[] = {-1, COIL, DISCRETE, HOLDING, INPUT, COIL, HOLDING};
    const uint8_t *pdu = frame + modbus_get_header_length(context);
    struct request asked = {.unit = pdu[-1], .function = pdu[0], .table = -1};
    if (asked.function >= 1 && asked.function <= 6)
        asked.table = tables[asked.function];
    else if (asked.function == 15 || asked.function == 16)
        asked.table = asked.function == 15 ? COIL : HOLDING;
    asked.address = pdu[1] << 8 | pdu[2];
    asked.count = asked.function == 5 || asked.function == 6 ? 1 : pdu[3] << 8 | pdu[4];
    asked.read = asked.function >= 1 && asked.function <= 4;
    return asked;
}

static void spoil(enum garble kind, uint8_t *bytes, int *length)
{
    int unit = rtu ? 0 : 6;
    switch (kind) {
    case SHORT:
        *length /= 2;
        break;
    case NOISE:
        for (int i = 0; i < *length; i++)
            bytes[i] = (uint8_t)(0xA5 ^ (i * 37));
        break;
    case FLIP:
        bytes[*length - (rtu ? 3 : 1)] ^= 0x10; /* RTU: the CRC then tells; TCP has none */
        break;
    case FOREIGN:
        if (rtu)
            bytes[unit]++;
        else
            bytes[1]++; /* another transaction */
        break;
    case CLEAN:
        break;
    }
}

static void answer_later(int fd, const uint8_t *bytes, int length, int delay_ms)
{
    if (pending_count == PENDING)
        return;
    struct answer *answer = &pending[pending_count++];
    answer->fd = fd;
    answer->length = length;
    answer->due_us = now_us(CLOCK_MONOTONIC) + delay_ms * 1000LL;
    for (int i = 0; rtu && i < pending_count - 1; i++) /* a unit on a serial line answers in order */
        if (pending[i].fd == fd && pending[i].bytes[0] == bytes[0] && pending[i].due_us > answer->due_us)
            answer->due_us = pending[i].due_us;
    memcpy(answer->bytes, bytes, (size_t)length);
}

static void send_due(void)
{
    long long now = now_us(CLOCK_MONOTONIC);
    int kept = 0;
    for (int i = 0; i < pending_count; i++) {
        if (pending[i].due_us > now)
            pending[kept++] = pending[i];
        else if (write(pending[i].fd, pending[i].bytes, (size_t)pending[i].length) < 0 && errno != EPIPE)
            fprintf(stderr, "write: %s\n", strerror(errno));
    }
    pending_count = kept;
}

static void serve(int fd, const uint8_t *frame, int length)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH], reply[FRAME];
    struct request asked = understand(frame);
    struct unit *unit = &units[asked.unit];
    if (log_count < LOG_MOST)
        snprintf(log_text[log_count++], sizeof log_text[0], "%d:%d:%d:%d", asked.function, asked.unit, asked.address, asked.count);
    int code = exception_for(unit, &asked);
    if (unit->map == NULL && code == 0)
        return; /* nobody with that number on the bus */
    if (unit->map != NULL)
        change(unit, &asked);
    modbus_set_slave(context, asked.unit);
    if (write(inner, frame, (size_t)length) != length)
        fatal("inner write");
    int received = modbus_receive(context, query);
    if (received > 0 && code != 0)
        modbus_reply_exception(context, query, (unsigned)code);
    else if (received > 0)
        modbus_reply(context, query, received, unit->map);
    int answered = (int)recv(inner, reply, sizeof reply, MSG_DONTWAIT);
    modbus_flush(context);
    if (answered <= 0 || take(&unit->silent))
        return;
    spoil((enum garble)take(&unit->garble), reply, &answered);
    answer_later(fd, reply, answered, take(&unit->delay));
    send_due();
}

/* -- connections ----------------------------------------------------------------------------------------- */

static void add_line(int fd)
{
    if (line_count == LINES_MOST) {
        close(fd);
        return;
    }
    lines[line_count++] = (struct line){.fd = fd};
}

static void close_line(int index, bool reset)
{
    int kept = 0;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        setsockopt(lines[index].fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    for (int i = 0; i < pending_count; i++)
        if (pending[i].fd != lines[index].fd)
            pending[kept++] = pending[i];
    pending_count = kept;
    close(lines[index].fd);
    lines[index] = lines[--line_count];
}

static void accept_line(void)
{
    int yes = 1;
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    add_line(fd);
}

/* False: the other end is gone. */
static bool read_line(struct line *line)
{
    long long now = now_us(CLOCK_MONOTONIC);
    if (rtu && line->held > 0 && now - line->last_us > IDLE_US)
        line->held = 0; /* silence ends a frame, whole or not */
    line->last_us = now;
    ssize_t got = read(line->fd, line->bytes + line->held, sizeof line->bytes - (size_t)line->held);
    if (got <= 0)
        return false;
    line->held += (int)got;
    for (;;) {
        int length = frame_length(line->bytes, line->held);
        if (length == 0 || length > FRAME) {
            line->held = 0;
            return rtu;
        }
        if (line->held < length || frame_length(line->bytes, length) > length)
            return true;
        serve(line->fd, line->bytes, length);
        line->held -= length;
        memmove(line->bytes, line->bytes + length, (size_t)line->held);
    }
}

static void open_pty(void)
{
    struct termios settings;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        fatal("pty");
    pty_slave = open(ptsname(master), O_RDWR | O_NOCTTY); /* held, so that the master outlives its users */
    if (pty_slave < 0 || tcgetattr(pty_slave, &settings) != 0)
        fatal("pty");
    cfmakeraw(&settings);
    tcsetattr(pty_slave, TCSANOW, &settings);
    add_line(master);
    printf("ok %s\n", ptsname(master));
}

static void open_listener(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0)
        fatal("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("ok %d\n", ntohs(address.sin_port));
}

/* -- commands -------------------------------------------------------------------------------------------- */

static int index_of(const char *word, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (word != NULL && strcmp(word, names[i]) == 0)
            return i;
    return -1;
}

static bool set_or_get(bool set, char **words, int count)
{
    int table = count > 3 ? index_of(words[2], TABLE_NAMES, TABLES) : -1;
    if (table < 0 || (!set && count != 5))
        return false;
    modbus_mapping_t *map = unit_of(atoi(words[1]))->map;
    int address = atoi(words[3]);
    int values = set ? count - 4 : atoi(words[4]);
    if (address < 0 || values < 0 || address + values > SPACE)
        return false;
    uint8_t *bits = table == COIL ? map->tab_bits : map->tab_input_bits;
    uint16_t *registers = table == INPUT ? map->tab_input_registers : map->tab_registers;
    if (!set)
        printf("ok");
    for (int i = 0; i < values; i++) {
        bool bit = table == COIL || table == DISCRETE;
        if (set && bit)
            bits[address + i] = (uint8_t)atoi(words[4 + i]);
        else if (set)
            registers[address + i] = (uint16_t)atoi(words[4 + i]);
        else
            printf(" %d", bit ? bits[address + i] : registers[address + i]);
    }
    printf(set ? "ok\n" : "\n");
    return true;
}

static bool fault(char **words, int count)
{
    struct unit *unit = &units[atoi(words[1]) & 0xFF];
    int kind = count == 4 ? index_of(words[2], GARBLE_NAMES, 5) : -1;
    int times = atoi(words[count - 1]) == 0 ? -1 : atoi(words[count - 1]);
    if (strcmp(words[0], "delay") == 0 && count == 4)
        unit->delay = (struct fault){times, atoi(words[2])};
    else if (strcmp(words[0], "silent") == 0 && count == 3)
        unit->silent = (struct fault){times, 1};
    else if (strcmp(words[0], "garble") == 0 && kind > 0)
        unit->garble = (struct fault){times, kind};
    else if (strcmp(words[0], "limit") == 0 && count == 4)
        unit->limit = atoi(words[2]), unit->limit_code = atoi(words[3]);
    else
        return false;
    printf("ok\n");
    return true;
}

static bool changing(char **words, int count)
{
    struct unit *unit = unit_of(atoi(words[1]));
    if (strcmp(words[0], "torn") == 0 && count == 6) {
        unit->torn_address = atoi(words[2]);
        unit->torn_count = atoi(words[3]);
        unit->torn_sequence = atoi(words[4]);
        unit->torn_every = atoi(words[5]);
    } else if (strcmp(words[0], "tick") == 0 && count == 6 && atoll(words[4]) > 0 && clock_count < CLOCKS) {
        clocks[clock_count++] = (struct ticking){.unit = atoi(words[1]), .address = atoi(words[2]),
                                                 .count = atoi(words[3]), .period_us = atoll(words[4]),
                                                 .base_us = atoll(words[5]), .tick = -1};
    } else if (strcmp(words[0], "polls") == 0 && count == 3) {
        unit->polls_address = atoi(words[2]);
        unit->polls = 0;
    } else {
        return false;
    }
    printf("ok\n");
    return true;
}

static bool add_rule(char **words, int count)
{
    int table = count == 6 ? index_of(words[2], TABLE_NAMES, TABLES) : -1;
    if (table < 0 || rule_count == RULES)
        return false;
    rules[rule_count++] = (struct rule){atoi(words[1]), table, atoi(words[3]), atoi(words[4]), atoi(words[5])};
    printf("ok\n");
    return true;
}

static void tell_log(void)
{
    printf("ok");
    for (int i = 0; i < log_count; i++)
        printf(" %s", log_text[i]);
    printf("\n");
    log_count = 0;
}

static bool whole_server(const char *word)
{
    if (strcmp(word, "heal") == 0)
        heal();
    else if (strcmp(word, "drop") == 0 && !is_pty)
        while (line_count > 0)
            close_line(0, true);
    else if (strcmp(word, "unplug") == 0 && is_pty && line_count > 0) {
        close_line(0, false);
        close(pty_slave);
    } else
        return false;
    printf("ok\n");
    return true;
}

static void obey(char *text)
{
    static char *words[SPACE + 8];
    int count = 0;
    for (char *word = strtok(text, " \n"); word != NULL && count < SPACE + 8; word = strtok(NULL, " \n"))
        words[count++] = word;
    bool done = false;
    if (count == 1 && strcmp(words[0], "log") == 0)
        tell_log(), done = true;
    else if (count == 1 && strcmp(words[0], "plug") == 0 && is_pty && line_count == 0)
        open_pty(), done = true;
    else if (count == 1)
        done = whole_server(words[0]);
    else if (count > 1 && (strcmp(words[0], "set") == 0 || strcmp(words[0], "get") == 0))
        done = set_or_get(words[0][0] == 's', words, count);
    else if (count > 1 && strcmp(words[0], "fail") == 0)
        done = add_rule(words, count);
    else if (count > 1)
        done = fault(words, count) || changing(words, count);
    if (!done)
        printf("error not understood: %s\n", count ? words[0] : "");
}

/* -- main ------------------------------------------------------------------------------------------------ */

static void prepare_libmodbus(void)
{
    int ends[2];
    context = rtu ? modbus_new_rtu("/dev/null", 9600, 'N', 8, 1) : modbus_new_tcp("127.0.0.1", 0);
    if (context == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        fatal("libmodbus");
    modbus_set_socket(context, ends[0]);
    modbus_set_response_timeout(context, 0, 1000); /* it sleeps that long after a request that is out of range */
    modbus_set_indication_timeout(context, 0, 20000);
    inner = ends[1];
}

static int wait_ms(void)
{
    long long now = now_us(CLOCK_MONOTONIC);
    int wait = -1;
    for (int i = 0; i < pending_count; i++) {
        long long left = pending[i].due_us - now;
        int ms = left <= 0 ? 0 : (int)(left / 1000) + 1;
        wait = wait < 0 || ms < wait ? ms : wait;
    }
    return wait;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a client that is gone is no reason to go */
    char *text = NULL;
    size_t size = 0;
    if (argc < 2)
        return 2;
    is_pty = strcmp(argv[1], "pty") == 0;
    rtu = is_pty || strcmp(argv[1], "rtu-tcp") == 0;
    setvbuf(stdin, NULL, _IONBF, 0); /* poll must see what is waiting */
    prepare_libmodbus();
    heal();
    if (is_pty)
        open_pty();
    else
        open_listener(argc > 2 ? atoi(argv[2]) : 0);
    for (;;) {
        struct pollfd watched[LINES_MOST + 2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
        fflush(stdout);
        int count = line_count;
        for (int i = 0; i < count; i++)
            watched[i + 2] = (struct pollfd){.fd = lines[i].fd, .events = POLLIN};
        if (poll(watched, (nfds_t)count + 2, wait_ms()) < 0 && errno != EINTR)
            fatal("poll");
        send_due();
        for (int i = count - 1; i >= 0; i--) /* backwards: closing one moves the last into its place */
            if (watched[i + 2].revents != 0 && !read_line(&lines[i]))
                close_line(i, false);
        if (watched[1].revents != 0)
            accept_line();
        if (watched[0].revents != 0) {
            if (getline(&text, &size, stdin) <= 0)
                return 0;
            obey(text);
        }
    }
}
