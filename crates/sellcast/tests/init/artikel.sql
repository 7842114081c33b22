-- A shop's own tables: German names, article numbers as text, categories as a text of the articles, times as text.
create table kunden (kundennr integer primary key, vorname text not null, nachname text not null, email text not null, kunde_seit text not null);
create table artikel (artikelnr text primary key, bezeichnung text not null, warengruppe text, marke text not null, preis real not null, einkaufspreis real, geaendert_am text not null);
create table bestellungen (id integer primary key, kundennr integer not null references kunden (kundennr), bestelldatum text not null, status text not null, geaendert_am text not null);
create table bestellpositionen (bestellung_id integer not null references bestellungen (id), position integer not null, artikelnr text not null references artikel (artikelnr),
  menge integer not null, einzelpreis real not null, gesamtpreis real not null, primary key (bestellung_id, position));
create table lieferanten (id integer primary key, name text not null, ort text not null);
