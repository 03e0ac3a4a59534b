#include "cli/terms.h"

enum { TERM_DAYS = 5 * 365 };

/* Rows for the kinds that people wait for. In the order of the flow of an incident. */
static const char deadlines[] =
    "    { \"kind\": \"incident.early-warning\", \"urgency\": \"routine\", \"acknowledge_s\": 14400, \"answer_s\": "
    "null, "
    "\"notification_s\": 172800 },\n"
    "    { \"kind\": \"incident.early-warning\", \"urgency\": \"flash\", \"acknowledge_s\": 900, \"answer_s\": null, "
    "\"notification_s\": 172800 },\n"
    "    { \"kind\": \"incident.notification\", \"urgency\": \"routine\", \"acknowledge_s\": 86400, \"answer_s\": "
    "259200, "
    "\"final_s\": 2592000 },\n"
    "    { \"kind\": \"incident.notification\", \"urgency\": \"flash\", \"acknowledge_s\": 900, \"answer_s\": 14400, "
    "\"final_s\": 2592000 },\n"
    "    { \"kind\": \"request.information\", \"urgency\": \"routine\", \"acknowledge_s\": 86400, \"answer_s\": 604800 "
    "},\n"
    "    { \"kind\": \"request.information\", \"urgency\": \"immediate\", \"acknowledge_s\": 3600, \"answer_s\": 86400 "
    "},\n"
    "    { \"kind\": \"request.preservation\", \"urgency\": \"routine\", \"acknowledge_s\": 14400, \"answer_s\": "
    "172800 },\n"
    "    { \"kind\": \"request.preservation\", \"urgency\": \"flash\", \"acknowledge_s\": 900, \"answer_s\": 14400 },\n"
    "    { \"kind\": \"request.takedown\", \"urgency\": \"routine\", \"acknowledge_s\": 14400, \"answer_s\": 172800 "
    "},\n"
    "    { \"kind\": \"request.takedown\", \"urgency\": \"immediate\", \"acknowledge_s\": 3600, \"answer_s\": 28800 "
    "},\n"
    "    { \"kind\": \"request.assistance\", \"urgency\": \"routine\", \"acknowledge_s\": 36000, \"answer_s\": 180000, "
    "\"in_service_hours\": true },\n"
    "    { \"kind\": \"request.assistance\", \"urgency\": \"immediate\", \"acknowledge_s\": 3600, \"answer_s\": 86400 "
    "},\n"
    "    { \"kind\": \"request.surrender\", \"urgency\": \"routine\", \"acknowledge_s\": 86400, \"answer_s\": 5184000 "
    "},\n"
    "    { \"kind\": \"request.consultation\", \"urgency\": \"routine\", \"acknowledge_s\": 86400, \"answer_s\": "
    "604800 },\n"
    "    { \"kind\": \"request.consultation\", \"urgency\": \"flash\", \"acknowledge_s\": 900, \"answer_s\": 7200 },\n"
    "    { \"kind\": \"proposal.proposal\", \"urgency\": \"routine\", \"acknowledge_s\": 86400, \"answer_s\": 2592000 "
    "},\n"
    "    { \"kind\": \"proposal.counter\", \"urgency\": \"routine\", \"acknowledge_s\": 86400, \"answer_s\": 2592000 "
    "},\n"
    "    { \"kind\": \"channel.amendment\", \"urgency\": \"routine\", \"acknowledge_s\": 86400, \"answer_s\": 2592000 "
    "},\n"
    "    { \"kind\": \"correction.recall\", \"urgency\": \"routine\", \"acknowledge_s\": 14400, \"answer_s\": 86400 "
    "}\n";

static const char middle[] =
    "  \"protected_systems\": [\n"
    "    { \"id\": \"early-warning\", \"name\": \"Systems that warn of missiles or command strategic forces\", "
    "\"urgency_floor\": \"flash\" },\n"
    "    { \"id\": \"nuclear-safety\", \"name\": \"Control and safety systems of nuclear installations\", "
    "\"urgency_floor\": \"flash\" },\n"
    "    { \"id\": \"health\", \"name\": \"Hospitals and emergency services\", \"urgency_floor\": \"immediate\" }\n"
    "  ],\n"
    "  \"reciprocity\": [\n"
    "    { \"class\": \"information\", \"kinds\": [\"incident.notification\", \"request.information\"], "
    "\"hold_back_at_balance\": 5 },\n"
    "    { \"class\": \"preservation\", \"kinds\": [\"request.preservation\"], \"hold_back_at_balance\": 3 },\n"
    "    { \"class\": \"assistance\", \"kinds\": [\"request.takedown\", \"request.assistance\"], "
    "\"hold_back_at_balance\": 3 }\n"
    "  ],\n"
    "  \"threat_level\": {\n"
    "    \"window_s\": 2592000,\n"
    "    \"severity_weights\": { \"low\": 1, \"medium\": 3, \"high\": 8, \"critical\": 20 },\n"
    "    \"levels\": [\n"
    "      { \"name\": \"guarded\", \"from\": 0 },\n"
    "      { \"name\": \"elevated\", \"from\": 10 },\n"
    "      { \"name\": \"high\", \"from\": 30 },\n"
    "      { \"name\": \"severe\", \"from\": 60 }\n"
    "    ]\n"
    "  },\n"
    "  \"two_officers\": [],\n"
    "  \"retention\": { \"entries_days\": 3650, \"bodies_days\": 3650, \"attachments_days\": 1095 },\n";

static const char last[] = "  \"suspension\": { \"freezes_deadlines\": true },\n"
                           "  \"comm_checks\": { \"every_s\": 86400, \"reply_within_s\": 3600 },\n"
                           "  \"languages\": [\"en\"]\n"
                           "}\n";

static void put_time_member(ent_buf *buf, const char *name, int64_t unix_s)
{
    char text[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(unix_s, text);
    ent_buf_put_format(buf, "    \"%s\": \"%s\",\n", name, text);
}

void ent_cli_put_new_terms(ent_buf *buf, const char *const *parties, size_t party_count, int64_t from_unix_s)
{
    ent_buf_put_string(buf, "{\n  \"title\": \"Arrangement on notice and assistance in cyber incidents\",\n"
                            "  \"parties\": [");
    for (size_t i = 0; i < party_count; i++)
        ent_buf_put_format(buf, "%s\"%s\"", i == 0 ? "" : ", ", parties[i]);
    ent_buf_put_string(buf, "],\n  \"validity\": {\n");
    put_time_member(buf, "from", from_unix_s);
    put_time_member(buf, "until", from_unix_s + (int64_t)TERM_DAYS * ENT_DAY_S);
    ent_buf_put_string(buf, "    \"extension\": { \"by_days\": 365, \"unless_declined_days_before\": 90 }\n  },\n"
                            "  \"deadlines\": [\n");
    ent_buf_put_string(buf, deadlines);
    ent_buf_put_string(buf, "  ],\n");
    ent_buf_put_string(buf, middle);
    ent_buf_put_string(buf, "  \"service_hours\": {\n");
    for (size_t i = 0; i < party_count; i++)
        ent_buf_put_format(buf,
                           "    \"%s\": [{ \"days\": [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"], \"from\": "
                           "\"06:00\", \"until\": \"16:00\" }]%s\n",
                           parties[i], i + 1 < party_count ? "," : "");
    ent_buf_put_string(buf, "  },\n");
    ent_buf_put_string(buf, last);
}
