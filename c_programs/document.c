/* Writes what is made from the table of options: `document table` the one in docs/programs.md, `document man pub` the
 * manual page of mgos_mqtt_pub, `document options pub` the spellings alone. Not installed. */
#include <mgos_mqtt_version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "options.h"

static const struct {
  const char *task;
  int which;
  const char *purpose, *synopsis, *text, *status; /* the last as at the end of --help */
} programs[] = {
    {"pub", PUB, "publish messages to an MQTT server", "-t TOPIC -m MESSAGE",
     "Publishes a message, or each line of standard input, and waits until the server has everything: acknowledged (QoS 1 "
     "and 2) or received (QoS 0). Its options are those of mosquitto_pub(1), and a few more.",
     "0 everything was delivered: acknowledged (QoS 1 and 2) or received (QoS 0); the server's code if it refused the connection "
     "or a message; 8 TLS failed; 27 the time of -W was over; 1 everything else."},
    {"sub", SUB, "print messages from an MQTT server", "-t FILTER",
     "Subscribes to topics and prints what arrives, one message a line. A message of QoS 1 or 2 is acknowledged when it was "
     "written. A connection that is lost comes back by itself. Its options are those of mosquitto_sub(1), and a few more.",
     "0 after -C, -E or --retained-only, SIGINT or SIGTERM; the server's code if it refused the connection, all subscriptions, "
     "or to end one of -U; 8 TLS failed; 27 the time of -W was over; 1 everything else. A connection that is lost comes back by "
     "itself."},
    {"rr", RR, "send a request by MQTT and print the answer", "-t TOPIC -e RESPONSE-TOPIC -m MESSAGE",
     "Subscribes to the response topic, publishes the request, with that topic as a property where MQTT 5.0 is spoken, and "
     "prints the first message that comes. Its options are those of mosquitto_rr(1), and a few more.",
     "0 the answer was printed; the server's code if it refused the connection, the subscription or the request; 8 TLS failed; "
     "27 the time of -W was over; 1 everything else."},
    {"doctor", DOCTOR, "say what works on the way to an MQTT server", "-h HOST",
     "Goes all the way to a server, step by step: name, addresses, TCP, proxy, TLS, CONNACK, messages at each QoS, retained, "
     "will and keep-alive. Each step has a verdict and what to do. No password, key or payload is shown.",
     "0 no fault was found (there may be notes); 1 a fault, or wrong usage."},
};
enum { NUM_PROGRAMS = sizeof(programs) / sizeof(programs[0]) };

/* A help text on one line. */
static void put_help(const char *help, const char *special, const char *instead) {
  for (; *help != '\0'; help++) {
    const char *c = strchr(special, *help);
    if (*help == '\n') {
      putchar(' ');
    } else if (c != NULL) {
      printf("%s%c", instead, *help);
    } else {
      putchar(*help);
    }
  }
}

static void put_spelling(const struct option_row *row, const char *around) {
  if (row->letter != '\0') printf("%s-%c%s", around, row->letter, around);
  if (row->letter != '\0' && row->name != NULL) printf(", ");
  if (row->name != NULL) printf("%s--%s%s", around, row->name, around);
}

static void table(void) {
  size_t i;
  int section = -1, p;
  for (i = 0; i < num_options; i++) {
    const struct option_row *row = &option_table[i];
    bool first = true;
    if ((int) row->section != section) {
      section = (int) row->section;
      printf("%s**%s**\n\n| option | programs | meaning |\n| --- | --- | --- |\n", i > 0 ? "\n" : "", option_section_names[section]);
    }
    printf("| ");
    put_spelling(row, "`");
    if (row->argument != NULL) printf(" %s", row->argument);
    printf(" | ");
    for (p = 0; p < NUM_PROGRAMS; p++) {
      if ((row->programs & programs[p].which) == 0) continue;
      printf("%s%s", first ? "" : ", ", programs[p].task);
      first = false;
    }
    printf(" | ");
    put_help(row->help, "|", "\\");
    printf(" |\n");
  }
}

/* In a manual page a line must not begin with a point, nor a word with a lone hyphen. */
static void put_paragraph(const char *text) {
  put_help(text, "\\-", "\\");
  putchar('\n');
}

static void man_lines(const char *text) {
  printf(".nf\n");
  for (; *text != '\0'; text++) {
    if (*text == '\\' || *text == '-') putchar('\\');
    putchar(*text == '\\' ? 'e' : *text);
  }
  printf(".fi\n");
}

static void man(int p) {
  int section;
  size_t i;
  printf(".TH MGOS_MQTT_%s 1 \"\" \"mgos_mqtt %s\" \"User Commands\"\n.SH NAME\nmgos_mqtt_%s \\- %s\n", programs[p].task,
         mgos_mqtt_version(), programs[p].task, programs[p].purpose);
  printf(".SH SYNOPSIS\n.B mgos_mqtt_%s\n[\\fIoption\\fR]... ", programs[p].task);
  put_paragraph(programs[p].synopsis);
  printf(".SH DESCRIPTION\n");
  put_paragraph(programs[p].text);
  for (section = 0; section < NUM_SECTIONS; section++) {
    bool titled = false;
    for (i = 0; i < num_options; i++) {
      const struct option_row *row = &option_table[i];
      if ((int) row->section != section || (row->programs & programs[p].which) == 0) continue;
      if (!titled) printf(".SH \"%s\"\n", option_section_names[section]);
      titled = true;
      printf(".TP\n\\fB");
      if (row->letter != '\0') printf("\\-%c", row->letter);
      if (row->letter != '\0' && row->name != NULL) printf("\\fR, \\fB");
      if (row->name != NULL) put_help("--", "-", "\\"), put_help(row->name, "-", "\\");
      printf("\\fR");
      if (row->argument != NULL) printf(" \\fI%s\\fR", row->argument);
      putchar('\n');
      put_paragraph(row->help);
    }
  }
  if (option_find(programs[p].which, "-F", 2) != NULL) {
    printf(".SH \"OUTPUT FORMAT\"\n");
    man_lines(format_help);
  }
  printf(".SH \"EXIT STATUS\"\n");
  put_paragraph(programs[p].status);
  if (programs[p].which != DOCTOR) {
    put_paragraph("The server's code is 1 to 5 with MQTT 3.1.1, and 128 or above with MQTT 5.0.");
  }
  printf(".SH FILES\n.TP\n.I $XDG_CONFIG_HOME/mgos_mqtt_%s, ~/.config/mgos_mqtt_%s\nOptions, one in each line with its value; a "
         "line that begins with # is a comment.\n",
         programs[p].task, programs[p].task);
  if (programs[p].which != DOCTOR) {
    printf(".TP\n.I $XDG_CONFIG_HOME/mosquitto_%s, ~/.config/mosquitto_%s\nRead if there is none of these.\n", programs[p].task,
           programs[p].task);
  }
  printf(".SH \"SEE ALSO\"\n.BR mosquitto_pub (1),\n.BR mosquitto_sub (1),\n.BR mqtt (7)\n");
}

static int find_program(const char *task) {
  int p;
  for (p = 0; p < NUM_PROGRAMS; p++) {
    if (strcmp(programs[p].task, task) == 0) return p;
  }
  fprintf(stderr, "document: no program '%s'\n", task);
  exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
  size_t i;
  if (argc == 2 && strcmp(argv[1], "table") == 0) {
    table();
  } else if (argc == 3 && strcmp(argv[1], "man") == 0) {
    man(find_program(argv[2]));
  } else if (argc == 3 && strcmp(argv[1], "options") == 0) {
    int which = programs[find_program(argv[2])].which;
    for (i = 0; i < num_options; i++) {
      if ((option_table[i].programs & which) == 0) continue;
      if (option_table[i].letter != '\0') printf("-%c\n", option_table[i].letter);
      if (option_table[i].name != NULL) printf("--%s\n", option_table[i].name);
    }
  } else {
    fputs("usage: document table | man PROGRAM | options PROGRAM\n", stderr);
    return EXIT_FAILURE;
  }
  return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
