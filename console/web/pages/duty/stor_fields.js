/** The fields of a suspicious transaction and order report, section by section, as the template has them. */

/**
 * @typedef {{name: string, text: string, kind?: "text" | "long" | "date", options?: [string, string][], pattern?: string,
 *   hint?: string}} Field
 */

const COUNTRY = "[A-Z]{2}";

/** @type {Field[]} */
export const SUBMITTER = [
  { name: "person", text: "Person in charge of the submission" },
  { name: "position", text: "Position within the reporting entity" },
  { name: "entity", text: "Reporting entity (full name, legal form)" },
  { name: "lei", text: "LEI", pattern: "[A-Z0-9]{18}[0-9]{2}", hint: "20 characters" },
  { name: "address", text: "Address" },
  { name: "capacity", text: "Acting capacity", hint: "such as operating a trading venue, dealing on own account" },
  { name: "activity", text: "Trading activity and instruments" },
  { name: "relationship", text: "Relationship with the suspected person" },
  { name: "contact_name", text: "Contact for questions" },
  { name: "contact_position", text: "Contact's position" },
  { name: "contact_phone", text: "Telephone" },
  { name: "contact_email", text: "E-mail" },
];

/** @type {Field[]} */
export const TRADING = [
  { name: "instrument", text: "Financial instrument" },
  { name: "identifier", text: "Identifier (ISIN or another code)" },
  { name: "classification", text: "Type (CFI code)" },
  { name: "underlying", text: "OTC derivatives: underlying and terms" },
  { name: "venue", text: "Trading venue" },
  { name: "mic", text: "Its code (MIC)", pattern: "[A-Z0-9]{4}", hint: "4 characters" },
  { name: "country_given", text: "Country where the order was given", pattern: COUNTRY, hint: "2 letters" },
  { name: "country_executed", text: "Country where it was executed", pattern: COUNTRY, hint: "2 letters" },
  { name: "description", text: "Description of the orders or transactions", kind: "long" },
];

/** @type {Field[]} */
export const ITEM = [
  { name: "kind", text: "Kind", options: [["transaction", "Transaction"], ["order", "Order"]] },
  { name: "reference", text: "Reference number" },
  { name: "at", text: "Date and time" },
  { name: "settlement", text: "Settlement" },
  { name: "side", text: "Side", options: [["", "–"], ["buy", "Buy"], ["sell", "Sell"]] },
  { name: "price", text: "Price, with its currency" },
  { name: "quantity", text: "Quantity" },
  { name: "order_type", text: "Order type" },
  { name: "placed", text: "How it was placed" },
  { name: "placed_by", text: "Who placed it" },
  { name: "received_by", text: "Who received it" },
  { name: "transmitted", text: "Means of transmission" },
  { name: "changes", text: "Cancellation or alteration" },
];

/** @type {Field[]} */
export const SUSPICION = [
  {
    name: "breach",
    text: "Breach",
    options: [
      ["market_manipulation", "Market manipulation"],
      ["attempted_market_manipulation", "Attempted market manipulation"],
      ["insider_dealing", "Insider dealing"],
      ["attempted_insider_dealing", "Attempted insider dealing"],
    ],
  },
  { name: "reasons", text: "Reasons for the suspicion", kind: "long" },
];

/** @type {Field[]} */
export const PERSON = [
  { name: "name", text: "Name" },
  { name: "date_of_birth", text: "Date of birth", kind: "date" },
  { name: "national_id", text: "National identification number" },
  { name: "address", text: "Address" },
  { name: "employment", text: "Employment (place, position)" },
  { name: "accounts", text: "Accounts" },
  { name: "client_code", text: "Client code" },
  { name: "issuer", text: "Relationship with the issuer" },
];
