//! What names mean. Shops name their tables and columns in many languages, in singular or plural, with prefixes and in
//! compounds; a [`Concept`] says how well a name fits a meaning.

/// Words of a name: split at anything but letters and digits and before capitals, in lower case, without accents.
pub(super) fn tokens(name: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    let mut before_small = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && before_small) {
            tokens.push(String::new());
        }
        before_small = letter.is_lowercase() || letter.is_ascii_digit();
        if letter.is_alphanumeric()
            && let Some(token) = tokens.last_mut()
        {
            fold(letter, token);
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// Words of a name without those that only say that it is a key; `kunden_nr`, `kundennr` and `kunden_id` give `kunden`.
pub(super) fn key_stem(name: &str) -> Vec<String> {
    const KEY_WORDS: [&str; 14] =
        ["id", "fk", "nr", "no", "num", "number", "nummer", "key", "code", "uuid", "guid", "ref", "numero", "uid"];
    let mut stem = tokens(name);
    stem.retain(|token| !KEY_WORDS.contains(&token.as_str()));
    for token in &mut stem {
        for ending in ["nummer", "number", "code", "uuid", "nr", "id"] {
            if token.len() > ending.len() + 3
                && let Some(short) = token.strip_suffix(ending)
            {
                *token = short.to_owned();
                break;
            }
        }
    }
    stem
}

fn fold(letter: char, into: &mut String) {
    for small in letter.to_lowercase() {
        match small {
            'ä' | 'æ' => into.push_str("ae"),
            'ö' => into.push_str("oe"),
            'ü' => into.push_str("ue"),
            'ß' => into.push_str("ss"),
            'á' | 'à' | 'â' | 'ã' | 'å' | 'ą' => into.push('a'),
            'é' | 'è' | 'ê' | 'ë' | 'ę' => into.push('e'),
            'í' | 'ì' | 'î' | 'ï' => into.push('i'),
            'ó' | 'ò' | 'ô' | 'õ' | 'ø' => into.push('o'),
            'ú' | 'ù' | 'û' => into.push('u'),
            'ç' | 'ć' => into.push('c'),
            'ñ' | 'ń' => into.push('n'),
            'ł' => into.push('l'),
            'ś' => into.push('s'),
            'ż' | 'ź' => into.push('z'),
            other => into.push(other),
        }
    }
}

/// What the singular of a word may be, the word itself first.
pub(super) fn singulars(word: &str) -> Vec<String> {
    // Ending and what it stands for, in English, German, French, Spanish, Italian, Dutch and Portuguese.
    const ENDINGS: [(&str, &str); 12] = [
        ("ies", "y"),
        ("oes", "o"),
        ("es", ""),
        ("s", ""),
        ("en", ""),
        ("en", "e"),
        ("n", ""),
        ("e", ""),
        ("i", "o"),
        ("i", "e"),
        ("ghe", "ga"),
        ("e", "a"),
    ];
    let mut forms = vec![word.to_owned()];
    for (ending, singular) in ENDINGS {
        if word.len() > ending.len() + 1
            && let Some(stem) = word.strip_suffix(ending)
        {
            forms.push(format!("{stem}{singular}"));
        }
    }
    forms
}

/// Do the two words differ at most in number?
pub(super) fn same_word(left: &str, right: &str) -> bool {
    let right = singulars(right);
    singulars(left).iter().any(|form| right.contains(form))
}

/// A meaning, told by the words for it.
pub(super) struct Concept {
    /// Words and word groups (`unit_price`) in the singular, with how surely each means it.
    words: &'static [(&'static str, f64)],
    /// Words that mean something else whatever stands beside them.
    veto: &'static [&'static str],
}

impl Concept {
    /// How well a name fits, from 0 to 1. `context` are words that add nothing, such as those of the column's table.
    pub(super) fn fit(&self, name: &str, context: &[String]) -> f64 {
        self.fit_words(&tokens(name), context)
    }

    /// The same of words.
    pub(super) fn fit_words(&self, name: &[String], context: &[String]) -> f64 {
        let name = without_tax(name);
        let own: Vec<&String> = name.iter().filter(|token| !context.iter().any(|word| same_word(token, word))).collect();
        if name.is_empty() || own.iter().any(|token| self.veto.iter().any(|veto| is_form_of(token, veto))) {
            return 0.0;
        }
        let best = self.words.iter().map(|(phrase, weight)| weight * closeness(phrase, name, own.len()));
        best.fold(0.0, f64::max)
    }
}

/// `unit_price_tax_incl` is a unit price. In `included_tax_total` the tax is what counts.
fn without_tax(name: &[String]) -> &[String] {
    const SIDES: [&str; 8] = ["incl", "excl", "included", "excluded", "including", "excluding", "inc", "ex"];
    let is_side = |word: &String| SIDES.contains(&word.as_str());
    match name {
        [rest @ .., tax, side] | [rest @ .., side, tax] if !rest.is_empty() && tax == "tax" && is_side(side) => rest,
        _ => name,
    }
}

fn is_form_of(token: &str, word: &str) -> bool {
    singulars(token).iter().any(|form| form == word)
}

fn closeness(phrase: &str, name: &[String], own: usize) -> f64 {
    let words: Vec<&str> = phrase.split('_').collect();
    let matches = |run: &[String]| run.iter().zip(&words).all(|(token, word)| is_form_of(token, word));
    if name.windows(words.len()).any(matches) {
        let extra = name.len() - words.len();
        return match extra {
            0 => 1.0,
            _ if own <= words.len() => 0.95,
            _ => (0.75 - 0.05 * extra as f64).max(0.4),
        };
    }
    if words.len() > 1 && name.concat() == words.concat() {
        return 1.0;
    }
    let in_compound = |token: &String| {
        let forms = singulars(token);
        words.len() == 1 && phrase.len() >= 5 && (token.starts_with(phrase) || forms.iter().any(|form| form.ends_with(phrase)))
    };
    if name.iter().any(in_compound) { 0.7 } else { 0.0 }
}

macro_rules! concepts {
    ($($(#[$doc:meta])* $name:ident = [$($weight:literal: $words:literal),+ $(,)?] but $veto:literal;)+) => {
        $($(#[$doc])* pub(super) static $name: std::sync::LazyLock<Concept> = std::sync::LazyLock::new(|| Concept {
            words: vec![$(($words, $weight)),+]
                .into_iter()
                .flat_map(|(words, weight): (&'static str, f64)| words.split_whitespace().map(move |word| (word, weight)))
                .collect::<Vec<_>>()
                .leak(),
            veto: $veto.split_whitespace().collect::<Vec<_>>().leak(),
        });)+
    };
}

concepts! {
    // Tables.
    PRODUCT = [
        1.0: "product article artikel produkt produit producto prodotto produto articulo articolo artigo sku towar vara ware goods merchandise",
        0.8: "item variant book good catalog_item",
    ] but "";
    VARIANT = [1.0: "variant sku product_product variante variation"] but "";
    CATEGORY = [
        1.0: "category kategorie categoria categorie taxon warengruppe artikelgruppe produktgruppe product_group product_type kategoria kategori",
        0.8: "department collection abteilung rubrik familia famille famiglia section genre taxonomy group gruppe rayon",
    ] but "customer user kunde";
    CUSTOMER = [
        1.0: "customer client kunde klant cliente buyer shopper kaeufer kund klient consumer acheteur comprador",
        0.8: "partner",
        0.7: "user account member person contact mitglied benutzer guest household",
    ] but "group role session permission address";
    ORDER = [
        1.0: "order bestellung auftrag commande pedido ordine bestelling sale verkauf vente venta vendita venda encomenda zamowienie bestell",
        0.9: "transaction purchase kauf ticket receipt kassenbon bon umsatz",
        0.8: "invoice rechnung facture factura fattura factuur checkout move beleg",
    ] but "";
    LINE = [
        1.0: "line item position posten detail zeile ligne linea riga regel linha row entry pozycja",
        0.8: "product artikel",
    ] but "";
    PROMOTION = [
        1.0: "promotion campaign aktion kampagne promo promocion promozione promocao angebot rabattaktion special_price deal",
        0.7: "discount rabatt offer oferta offerta sale_price",
    ] but "rule action usage code log order line";
    PRICE_LIST = [1.0: "price preis prix precio prezzo prijs preco price_list"] but "rule history tier";
    // Tables that hold something else.
    OTHER_TABLE = [
        1.0: "cart basket warenkorb panier carrito wishlist quote draft stock inventory lager shipment delivery lieferung lieferant supplier vendor \
              return refund retoure history log archive tmp temp backup bak old audit translation image media review rating tag attribute option \
              note meta tax payment address session permission role migration setting adjustment purchase einkauf rma event message \
              email notification token coupon schedule subscription_log",
    ] but "";
    TRANSLATIONS = [1.0: "translation lang language description locale i18n text uebersetzung traduction traduccion"] but "meta";
    // Columns.
    LANGUAGE = [1.0: "language lang locale language_code sprache langue idioma lingua"] but "";
    QUANTITY = [
        1.0: "quantity qty menge anzahl quantite qte cantidad quantita aantal quantidade qtd ilosc antal units units_sold product_uom_qty stueck stueckzahl",
        0.7: "count amount_sold pieces number_of_units pcs",
    ] but "delivered invoiced shipped received returned refunded cancelled min max stock reserved backordered to_invoice geliefert";
    UNIT_PRICE = [
        1.0: "unit_price price_unit einzelpreis stueckpreis verkaufspreis prix_unitaire precio_unitario prezzo_unitario stukprijs preco_unitario price_each \
              sales_price sale_price item_price",
        0.85: "price preis prix precio prezzo prijs preco cena pris unit_amount",
    ] but "total subtotal cost einkauf purchase tax old original list compare discount reduce gesamt ek";
    LIST_PRICE = [
        1.0: "price list_price preis verkaufspreis prix precio prezzo prijs preco current_price sale_price sales_price selling_price vk min_price unit_price cena",
        0.8: "amount retail_price rrp uvp msrp max_price",
    ] but "cost einkauf purchase tax ek compare standard";
    LINE_TOTAL = [
        1.0: "total line_total total_price price_subtotal gesamt gesamtpreis positionssumme row_total total_amount net_revenue product_net_revenue \
              importe_total montant_total zeilensumme gesamtbetrag line_amount line_price",
        0.8: "amount subtotal price_total revenue betrag summe montant importe importo totale umsatz sum bedrag valor erloes",
    ] but "tax discount adjustment promo shipping quantity qty cost refunded invoiced reduce taxinc taxexcl steuer included additional";
    DISCOUNT = [
        1.0: "discount_amount discount rabatt remise descuento sconto korting desconto nachlass coupon_amount rabattbetrag",
    ] but "percent pct percentage rate prozent code type id price total_before";
    ORDERED_AT = [
        1.0: "ordered_at order_date date_order placed_at placed_on purchased_at purchase_date sold_at sold_on sale_date sales_date bestelldatum \
              bestellt_am auftragsdatum verkauft_am verkaufsdatum kaufdatum gekauft_am fecha_pedido fecha_venta date_commande date_vente \
              data_ordine data_vendita besteldatum completed_at occurred_at transaction_date transaction_time \
              belegdatum date_created_gmt data_venda data_pedido order_time ordered_on order_purchase_timestamp bestellzeit event_time",
        0.8: "date datum fecha data timestamp zeitpunkt zeit paid_at date_paid time day bezahlt_am",
        0.7: "created_at created create_date creation_date date_created date_add date_added added_at erstellt_am angelegt_am created_on cree_le creado_en angelegt erstellt",
        // In the header of an order the day of its invoice comes later than the order.
        0.69: "invoice_date rechnungsdatum",
    ] but "update updated modified delivery delivered shipped shipment due birth cancelled canceled expire expected estimated validity deleted \
           approved lieferung lieferdatum commitment next";
    UPDATED_AT = [
        1.0: "updated_at modified_at last_modified updated modified date_upd write_date last_update geaendert_am geaendert aktualisiert_am \
              aktualisiert mtime modified_on updated_on changed_at date_modified modification_date last_updated post_modified_gmt change_date \
              mis_a_jour_le actualizado_en aenderungsdatum",
    ] but "by user uid";
    CREATED_AT = [
        1.0: "created_at created create_date creation_date date_created date_add created_on erstellt_am angelegt_am angelegt erstellt \
              date_added date_joined cree_le creado_en date_creation date_registered registered_at registriert_am registered signup_date joined_at available_on kunde_seit",
    ] but "by user uid";
    LAST_LOGIN = [1.0: "last_login last_login_at last_sign_in_at last_seen_at last_active date_last_active letzter_login letzte_anmeldung last_visit"]
        but "ip";
    STATUS = [1.0: "status state zustand etat estado stato order_status bestellstatus statut"]
        but "payment shipment shipping delivery invoice province region country";
    NAME = [
        1.0: "name title bezeichnung titel label nom nombre nome titre naam designation produktname artikelname product_name denominazione titulo \
              libelle descripcion_corta",
        0.7: "display_name full_name short_description kurztext description beschreibung complete_name",
    ] but "file path meta seo brand category user first last image slug url short class table model";
    DESCRIPTION = [1.0: "description beschreibung descripcion descrizione omschrijving descricao long_description body langtext"]
        but "meta seo short sale purchase pickingout picking";
    CODE = [0.9: "sku code artikelnummer artikelnr item_no reference default_code ean barcode gtin nummer number"] but "zip post";
    BRAND = [1.0: "brand marke marque marca manufacturer hersteller merk fabricant fabricante maker produttore"] but "url logo";
    PARENT = [1.0: "parent parent_category oberkategorie uebergeordnet eltern padre genitore ouder pai parent_category_id vater"] but "path left right lft rgt";
    EMAIL = [1.0: "email e_mail mail email_address mailadresse correo courriel"] but "verified confirmed opt template sent normalized";
    FIRST_NAME = [1.0: "first_name firstname vorname prenom given_name forename voornaam"] but "";
    LAST_NAME = [1.0: "last_name lastname nachname surname family_name apellido cognome achternaam"] but "";
    SEGMENT = [1.0: "segment customer_segment customer_group kundengruppe customer_type tier loyalty_level kundentyp"] but "";
    CURRENCY = [1.0: "currency currency_code waehrung devise moneda valuta order_currency currency_iso"] but "rate factor";
    DELETED_AT = [1.0: "deleted_at geloescht_am date_deleted removed_at"] but "by";
    STARTS_ON = [1.0: "starts_at starts_on start_date valid_from begin_date date_from gueltig_ab gueltig_von start_at fecha_inicio date_debut start beginn von starts"] but "";
    ENDS_ON = [1.0: "ends_at ends_on end_date valid_to valid_until date_to gueltig_bis expires_at end_at fecha_fin date_fin end ende bis ends"] but "";
    KIND = [1.0: "kind type typ art channel kanal tipo"] but "";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_marks_and_capitals_and_lose_their_accents() {
        assert_eq!(tokens("wp_wc_order_stats"), ["wp", "wc", "order", "stats"]);
        assert_eq!(tokens("OrderLineItem"), ["order", "line", "item"]);
        assert_eq!(tokens("Größe-ÄNDERUNG"), ["groesse", "aenderung"]);
        assert_eq!(tokens("SKU"), ["sku"]);
        assert_eq!(key_stem("kunden_nr"), ["kunden"]);
        assert_eq!(key_stem("artikelnr"), ["artikel"]);
        assert_eq!(key_stem("customerId"), ["customer"]);
    }

    #[test]
    fn tables_are_found_in_several_languages_and_numbers() {
        for (concept, names) in [
            (&PRODUCT, ["products", "Artikel", "produits", "prodotti", "articulos", "tbl_produkte"]),
            (&CATEGORY, ["categories", "kategorien", "categorie", "product_category", "warengruppen", "spree_taxons"]),
            (&CUSTOMER, ["customers", "kunden", "clientes", "klanten", "users", "res_partner"]),
            (&ORDER, ["orders", "bestellungen", "pedidos", "commandes", "sales", "rechnungen"]),
            (&LINE, ["order_items", "bestellpositionen", "lignes", "righe", "order_details", "line_items"]),
        ] {
            for name in names {
                assert!(concept.fit(name, &[]) >= 0.45, "{name}: {}", concept.fit(name, &[]));
            }
        }
        assert!(PRODUCT.fit("sessions", &[]) < 0.1 && ORDER.fit("customers", &[]) < 0.1);
    }

    #[test]
    fn an_exact_name_beats_one_among_others_and_a_veto_rules_out() {
        let none: &[String] = &[];
        assert!(UNIT_PRICE.fit("unit_price", none) > UNIT_PRICE.fit("price", none));
        assert!(ORDERED_AT.fit("order_date", none) > ORDERED_AT.fit("created_at", none));
        assert!(ORDERED_AT.fit("orderdate", none) > 0.9);
        assert_eq!(ORDERED_AT.fit("updated_at", none), 0.0);
        assert_eq!(QUANTITY.fit("qty_delivered", none), 0.0);
        assert_eq!(DISCOUNT.fit("discount_percent", none), 0.0);
        assert!(UNIT_PRICE.fit("unit_price_tax_incl", none) > 0.9 && LINE_TOTAL.fit("total_price_excl_tax", none) > 0.9);
        assert_eq!(LINE_TOTAL.fit("included_tax_total", none), 0.0);
        assert!(NAME.fit("CategoryName", &tokens("Categories")) > 0.9, "a table's own word rules nothing out");
        assert_eq!(NAME.fit("category_name", &tokens("products")), 0.0);
        let table = tokens("products");
        assert!(NAME.fit("product_label", &table) > NAME.fit("shelf_label", &table));
    }
}
