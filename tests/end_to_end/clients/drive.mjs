// Calls Cloud API clients of the npm registry, as an integration would, for tests in Python.
//
// The first line of standard input says where the server is and what to use there:
// {"base", "version", "token", "number", "waba"}. Each further line is one call,
// {"client": "types" | "kapso", "call": "twoStepVerification.setPin", "with": [...]},
// and is answered with one line: {"gave": ...}, or {"threw": {"name", "code", ...}}.
// The clients are as they were published; what is told to them is their base address.

import { createInterface } from "node:readline";
import { WhatsAppClient } from "@kapso/whatsapp-cloud-api";
import { WhatsAppCloudAPI } from "whatsapp-cloud-api-types";

function open({ base, version, token, number, waba }) {
  return {
    types: new WhatsAppCloudAPI({
      accessToken: token,
      phoneNumberId: number,
      wabaId: waba,
      version,
      baseUrl: base,
    }),
    kapso: new WhatsAppClient({ accessToken: token, graphVersion: version, baseUrl: base }),
  };
}

async function call(clients, { client, call: path, with: given }) {
  const names = path.split(".");
  const method = names.pop();
  const owner = names.reduce((found, name) => found[name], clients[client]);
  return await owner[method](...given);
}

function told(error) {
  return {
    name: error.name,
    message: error.message,
    code: error.code,
    status: error.httpStatus,
    details: error.details,
  };
}

let clients;
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  if (clients === undefined) {
    clients = open(asked);
    continue;
  }
  let answer;
  try {
    answer = { gave: (await call(clients, asked)) ?? null };
  } catch (error) {
    answer = { threw: told(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
