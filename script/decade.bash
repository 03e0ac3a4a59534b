# shellcheck shell=bash
# Part of script/demo: a decade of talks between two states, in a minute, with deadlines in seconds. At its end both
# nodes print the same digests, and the report names exactly the requests that nobody answered.

# shellcheck disable=SC2154,SC2317 # out and folder are the demo's; functions that wait_for calls

# body KIND [SED...]: the example body of a kind, changed.
body() {
  sed "${@:2}" "examples/$1.json"
}

# say PARTY KIND ARGUMENT...: send the body on standard input, unseen; prints the message.
say() {
  entente send "$2" --channel decade --body - --dir "$1" "${@:3}"
}

# held PARTY MESSAGE: its node holds the message.
held() {
  entente show "$2" --dir "$1"
}

# The message that the last command printed.
said() {
  grep -Eo -m 1 '^decade/[a-z.]+/[0-9]+' "$out"
}

# both PATTERN [ARGUMENT...]: both sides' ledgers say it.
both() {
  local party
  for party in aurora boreal; do
    entente ledger --channel decade "${@:2}" --dir "$party" >"$folder/both.log" 2>&1
    grep -Eq -- "$1" "$folder/both.log" || return 1
  done
}

decade_requests() {
  local i
  : >asked
  for ((i = 1; i <= 80; i++)); do
    body request.information "s/\"title\": \".*\"/\"title\": \"Request $i of 80\"/" |
      say aurora request.information >>asked || fail "request $i was not logged"
  done
  [ "$(wc -l <asked)" -eq 80 ] || fail "not all 80 requests were named"
}

# Every tenth request is passed over; of the others every third is refused.
decade_answers() {
  local i=0 request outcome
  : >unanswered
  wait_for "the last request at Boreal" held boreal "$(tail -n 1 asked)"
  while read -r request; do
    i=$((i + 1))
    outcome=granted
    [ $((i % 3)) -ne 0 ] || outcome=refused
    if [ $((i % 10)) -eq 0 ]; then
      echo "$request" >>unanswered
      continue
    fi
    body answer.response "s/\"outcome\": \".*\"/\"outcome\": \"$outcome\"/" |
      say boreal answer.response --reply-to "$request" >/dev/null || fail "the answer to $request was not logged"
  done <asked
}

# The references in a report, as they stand after "unanswered".
decade_unanswered() {
  sed 's/.*\///' unanswered | sed 's/^/aurora.example\//'
}

# What the account says was not answered in time.
decade_named() {
  sed -n '/^## Not answered/,/^## /p' account.md | grep -F '**overdue**' | grep -Eo 'aurora\.example/[0-9]+'
}

decade_story() {
  local first answer

  chapter "7. A decade in a minute"
  tell "What the public record of ten years of talks keeps describing, replayed: who asked, who answered, who did not, what" \
    "is owed. The terms have deadlines in seconds. First they are checked."
  run 0 12 entente agreement check examples/terms-decade.json
  run 0 2 entente channel open --with boreal.example --terms examples/terms-decade.json --alias decade --dir aurora
  channel=$(grep -Eo '^[0-9a-f]{64}$' "$out") || fail "no channel id was printed"
  wait_for "the invitation at Boreal" entente channel show "$channel" --dir boreal
  run 0 2 entente channel accept "${channel:0:12}" --alias decade --dir boreal
  decade_is_open() {
    entente channel list --dir aurora | grep -Eq '^decade +[0-9a-f]{12} +open '
  }
  wait_for "the channel to open" decade_is_open

  tell "Aurora asks eighty questions, one after the other. Boreal answers most of them: some grant, some refuse. Eight it" \
    "passes over."
  decade_requests
  decade_answers
  run 0 3 cat unanswered

  tell "Aurora proposes a joint unit, and withdraws the proposal within the hour. Boreal can accept it no more."
  run 0 2 entente send proposal.proposal --channel decade --body examples/proposal.proposal.json --dir aurora
  first=$(said)
  run 0 2 entente send proposal.withdraw --reply-to "$first" --body examples/proposal.withdraw.json --wait receipt --dir aurora
  is_withdrawn() {
    entente show "$first" --dir boreal | grep -q withdrawn
  }
  wait_for "the withdrawal at Boreal" is_withdrawn
  run 1 4 entente send proposal.accept --reply-to "$first" --dir boreal
  has 'withdrawn'

  tell "Boreal claims that Aurora is behind an attack, and gives nothing in support. Both sides' ledgers say so."
  body attribution.claim '/"evidence"/,/]/d' >claim.json
  run 0 2 entente send attribution.claim --channel decade --body claim.json --wait receipt --dir boreal
  first=$(said)
  wait_for "the claim to be unsupported on both sides" both 'unsupported'
  run 0 '/unsupported/p' entente ledger --channel decade --dir aurora
  tell "Months later it hands over evidence that refers to the claim."
  run 0 2 entente send evidence.item --reply-to "$first" --body examples/evidence.item.json --wait receipt --dir boreal
  supported() {
    ! both 'unsupported' && both '.'
  }
  wait_for "the claim to be supported on both sides" supported

  tell "The ransomware case: early warning, notification, final report. It hits food production, a protected system: the" \
    "agreement makes it a flash message, whatever the officer chose."
  run 0 2 entente send incident.early-warning --channel decade --body examples/incident.early-warning.json --dir aurora
  first=$(said)
  body incident.notification '/^  *"fields"/s/{/{"protected_systems": ["food"],/' >redline.json
  run 0 2 entente send incident.notification --reply-to "$first" --body redline.json --dir aurora
  run 0 '1,3p' entente show "$(said)" --dir aurora
  has '^FLASH '
  run 0 2 entente send incident.final --reply-to "$first" --body examples/incident.final.json --wait receipt --dir aurora

  tell "\"We will hand over the perpetrators if the other side does the same.\" Boreal grants a surrender; now it may hold back" \
    "until Aurora does the same. Aurora does."
  decade_surrender aurora boreal
  run 0 '/^CLASS/p;/^surrender/p;/may hold back/p' entente ledger --channel decade --dir boreal
  has 'hold back'
  decade_surrender boreal aurora

  tell "Consultations: asked for, agreed, held to an agenda, recorded. The record binds when both have accepted the same" \
    "bytes, whichever language one reads."
  run 0 1 entente send request.consultation --channel decade --body examples/request.consultation.json --dir boreal
  first=$(said)
  wait_for "the request at Aurora" held aurora "$first"
  decade_answer aurora "$first" granted
  wait_for "the answer at Boreal" held boreal "$answer"
  run 0 1 entente send consultation.agenda --reply-to "$first" --body examples/consultation.agenda.json --wait receipt --dir boreal
  run 0 1 entente send consultation.record --reply-to "$first" --body examples/consultation.record.json --wait receipt --dir boreal
  answer=$(said)
  wait_for "the record at Aurora" held aurora "$answer"
  run 0 1 entente send proposal.accept --reply-to "$answer" --wait receipt --dir aurora
  run 0 '/^Thread/,/^$/p' entente show "$answer" --dir aurora
  has 'binding'

  tell "Aurora suspends the channel. What Boreal asks meanwhile is refused before it is said; comm checks pass."
  run 0 1 entente send channel.suspend --channel decade --body examples/channel.suspend.json --wait receipt --dir aurora
  first=$(said)
  wait_for "the suspension at Boreal" both 'SUSPENDED by aurora'
  run 1 3 entente send request.information --channel decade --body examples/request.information.json --dir boreal
  has 'suspended'
  run 0 1 entente send contact.check --channel decade --body examples/contact.check.json --wait receipt --dir boreal
  run 0 1 entente send channel.resume --reply-to "$first" --body examples/channel.resume.json --wait receipt --dir aurora

  tell "The agreement is extended before it ends: new terms hold once both have accepted the same bytes."
  sed 's/"until": "2027-01-01/"until": "2041-01-01/' examples/terms-decade.json >terms-extended.json
  run 0 3 entente agreement diff examples/terms-decade.json terms-extended.json
  run 0 2 entente agreement propose terms-extended.json --channel decade --wait receipt --dir aurora
  first=$(said)
  wait_for "the amendment at Boreal" held boreal "$first"
  run 0 2 entente agreement accept "$first" --wait receipt --dir boreal
  wait_for "the new terms on both sides" both '2041'

  tell "The deadlines of the eight requests pass. Both ledgers say who owes what, and come to the same digests."
  eight_overdue() {
    entente ledger --channel decade --dir "$1" >"$folder/both.log" 2>&1
    grep -Eq '^  Duties +8 overdue, ' "$folder/both.log"
  }
  wait_for "the eight to be overdue at Aurora" eight_overdue aurora
  wait_for "the eight to be overdue at Boreal" eight_overdue boreal
  same_digests() {
    entente ledger --channel decade --digest --dir aurora >digest.aurora &&
      entente ledger --channel decade --digest --dir boreal >digest.boreal && cmp -s digest.aurora digest.boreal
  }
  wait_for "both nodes to hold the same evidence" same_digests
  run 0 '1,6p;/^overdue/,+1p' entente ledger --channel decade --dir aurora
  run 0 2 entente ledger --channel decade --digest --dir aurora
  run 0 2 entente ledger --channel decade --digest --dir boreal
  cmp -s digest.aurora "$out" || same_digests || fail "the two nodes print different digests"

  tell "\"We got no clear answer\" is now an account with proofs. It names exactly the eight; anybody can verify it."
  run 0 2 entente report --channel decade -o account --dir aurora
  run 0 '/nanswered/,+10p' cat account.md
  decade_unanswered | sort >expected
  decade_named | sort >named
  cmp -s expected named || fail "the report names others than the eight requests that nobody answered"
  run 0 6 entente verify account.json --card aurora/card --card boreal/card
  has 'VALID'
}

# decade_answer PARTY MESSAGE OUTCOME: sets answer.
decade_answer() {
  body answer.response "s/\"outcome\": \".*\"/\"outcome\": \"$3\"/" >response.json
  run 0 1 entente send answer.response --reply-to "$2" --body response.json --wait receipt --dir "$1"
  answer=$(said)
}

# decade_surrender ASKING ASKED: one person, asked for and granted.
decade_surrender() {
  run 0 1 entente send request.surrender --channel decade --body examples/request.surrender.json --dir "$1"
  first=$(said)
  wait_for "the request at the other side" held "$2" "$first"
  decade_answer "$2" "$first" granted
  wait_for "the answer at the other side" held "$1" "$answer"
}
