/** What the buyer reads, in the languages that our own pages speak. */

import type { Flaw } from './cards.ts';

export type Word =
  | Flaw
  | 'number'
  | 'expiry'
  | 'expiry_placeholder'
  | 'cvc'
  | 'zip'
  | 'country'
  | 'frame'
  | 'card'
  | 'another_card'
  | 'remove'
  | 'really_remove'
  | 'save_card'
  | 'terms'
  | 'offline'
  | 'authenticate'
  | 'not_authenticated'
  | 'close'
  | 'name'
  | 'line1'
  | 'line2'
  | 'city'
  | 'state'
  | 'incomplete_field';

type Catalogue = Record<Word, string>;

const en: Catalogue = {
  number: 'Card number',
  expiry: 'Expiration date',
  expiry_placeholder: 'MM / YY',
  cvc: 'Security code',
  zip: 'ZIP',
  country: 'Country or region',
  frame: 'Secure card payment input frame',
  card: 'Card',
  another_card: 'Another card',
  remove: 'Remove',
  really_remove: 'Really remove?',
  save_card: 'Save this card for future purchases',
  terms: 'By providing your card information, you allow {business} to charge your card for future payments in accordance with their terms.',
  offline: 'The payment could not be reached. Check your connection and try again.',
  authenticate: 'Your bank wants to know that it is you',
  not_authenticated: 'We are unable to authenticate your payment method. Please choose a different payment method and try again.',
  close: 'Close',
  name: 'Full name',
  line1: 'Address line 1',
  line2: 'Address line 2',
  city: 'City',
  state: 'State',
  incomplete_field: 'This field is incomplete.',
  incomplete_number: 'Your card number is incomplete.',
  invalid_number: 'Your card number is invalid.',
  incomplete_expiry: "Your card's expiration date is incomplete.",
  invalid_expiry_month_past: "Your card's expiration date is in the past.",
  invalid_expiry_year_past: "Your card's expiration year is in the past.",
  invalid_expiry_year: "Your card's expiration year is invalid.",
  incomplete_cvc: "Your card's security code is incomplete.",
  incomplete_zip: 'Your postal code is incomplete.',
};

const de: Catalogue = {
  number: 'Kartennummer',
  expiry: 'Ablaufdatum',
  expiry_placeholder: 'MM / JJ',
  cvc: 'Prüfziffer',
  zip: 'PLZ',
  country: 'Land oder Region',
  frame: 'Sicherer Eingaberahmen für Kartenzahlungen',
  card: 'Karte',
  another_card: 'Andere Karte',
  remove: 'Entfernen',
  really_remove: 'Wirklich entfernen?',
  save_card: 'Diese Karte für künftige Einkäufe speichern',
  terms: 'Mit der Angabe Ihrer Kartendaten erlauben Sie {business}, Ihre Karte gemäß deren Bedingungen für künftige Zahlungen zu belasten.',
  offline: 'Die Zahlung ist nicht erreichbar. Prüfen Sie Ihre Verbindung und versuchen Sie es noch einmal.',
  authenticate: 'Ihre Bank möchte wissen, dass Sie es sind',
  not_authenticated: 'Ihre Zahlungsart konnte nicht authentifiziert werden. Bitte wählen Sie eine andere und versuchen Sie es noch einmal.',
  close: 'Schließen',
  name: 'Vollständiger Name',
  line1: 'Adresszeile 1',
  line2: 'Adresszeile 2',
  city: 'Ort',
  state: 'Bundesland',
  incomplete_field: 'Dieses Feld ist unvollständig.',
  incomplete_number: 'Ihre Kartennummer ist unvollständig.',
  invalid_number: 'Ihre Kartennummer ist ungültig.',
  incomplete_expiry: 'Das Ablaufdatum Ihrer Karte ist unvollständig.',
  invalid_expiry_month_past: 'Das Ablaufdatum Ihrer Karte liegt in der Vergangenheit.',
  invalid_expiry_year_past: 'Das Ablaufjahr Ihrer Karte liegt in der Vergangenheit.',
  invalid_expiry_year: 'Das Ablaufjahr Ihrer Karte ist ungültig.',
  incomplete_cvc: 'Die Prüfziffer Ihrer Karte ist unvollständig.',
  incomplete_zip: 'Ihre Postleitzahl ist unvollständig.',
};

const fr: Catalogue = {
  number: 'Numéro de carte',
  expiry: "Date d'expiration",
  expiry_placeholder: 'MM / AA',
  cvc: 'Code de sécurité',
  zip: 'Code postal',
  country: 'Pays ou région',
  frame: 'Cadre de saisie sécurisé pour le paiement par carte',
  card: 'Carte',
  another_card: 'Autre carte',
  remove: 'Supprimer',
  really_remove: 'Vraiment supprimer ?',
  save_card: 'Enregistrer cette carte pour de futurs achats',
  terms: 'En fournissant les informations de votre carte, vous autorisez {business} à la débiter pour de futurs paiements conformément à ses conditions.',
  offline: 'Le paiement est injoignable. Vérifiez votre connexion et réessayez.',
  authenticate: "Votre banque souhaite s'assurer que c'est bien vous",
  not_authenticated: "Votre moyen de paiement n'a pas pu être authentifié. Choisissez-en un autre et réessayez.",
  close: 'Fermer',
  name: 'Nom complet',
  line1: "Ligne d'adresse 1",
  line2: "Ligne d'adresse 2",
  city: 'Ville',
  state: 'État ou région',
  incomplete_field: 'Ce champ est incomplet.',
  incomplete_number: 'Votre numéro de carte est incomplet.',
  invalid_number: "Votre numéro de carte n'est pas valide.",
  incomplete_expiry: "La date d'expiration de votre carte est incomplète.",
  invalid_expiry_month_past: "La date d'expiration de votre carte est passée.",
  invalid_expiry_year_past: "L'année d'expiration de votre carte est passée.",
  invalid_expiry_year: "L'année d'expiration de votre carte n'est pas valide.",
  incomplete_cvc: 'Le code de sécurité de votre carte est incomplet.',
  incomplete_zip: 'Votre code postal est incomplet.',
};

const es: Catalogue = {
  number: 'Número de tarjeta',
  expiry: 'Fecha de caducidad',
  expiry_placeholder: 'MM / AA',
  cvc: 'Código de seguridad',
  zip: 'Código postal',
  country: 'País o región',
  frame: 'Marco seguro para los datos de la tarjeta',
  card: 'Tarjeta',
  another_card: 'Otra tarjeta',
  remove: 'Eliminar',
  really_remove: '¿Eliminar de verdad?',
  save_card: 'Guardar esta tarjeta para compras futuras',
  terms: 'Al proporcionar los datos de su tarjeta, permite a {business} efectuar cargos en ella para futuros pagos conforme a sus condiciones.',
  offline: 'No se puede acceder al pago. Compruebe la conexión e inténtelo de nuevo.',
  authenticate: 'Su banco quiere saber que es usted',
  not_authenticated: 'No se ha podido autenticar su método de pago. Elija otro e inténtelo de nuevo.',
  close: 'Cerrar',
  name: 'Nombre completo',
  line1: 'Línea 1 de la dirección',
  line2: 'Línea 2 de la dirección',
  city: 'Ciudad',
  state: 'Estado o provincia',
  incomplete_field: 'Este campo está incompleto.',
  incomplete_number: 'El número de su tarjeta está incompleto.',
  invalid_number: 'El número de su tarjeta no es válido.',
  incomplete_expiry: 'La fecha de caducidad de su tarjeta está incompleta.',
  invalid_expiry_month_past: 'La fecha de caducidad de su tarjeta ya ha pasado.',
  invalid_expiry_year_past: 'El año de caducidad de su tarjeta ya ha pasado.',
  invalid_expiry_year: 'El año de caducidad de su tarjeta no es válido.',
  incomplete_cvc: 'El código de seguridad de su tarjeta está incompleto.',
  incomplete_zip: 'Su código postal está incompleto.',
};

const ja: Catalogue = {
  number: 'カード番号',
  expiry: '有効期限',
  expiry_placeholder: '月 / 年',
  cvc: 'セキュリティコード',
  zip: '郵便番号',
  country: '国または地域',
  frame: 'カード支払いの安全な入力フレーム',
  card: 'カード',
  another_card: '別のカード',
  remove: '削除',
  really_remove: '本当に削除しますか？',
  save_card: '今後の購入のためにこのカードを保存する',
  terms: 'カード情報を入力すると、{business} が規約に従って今後の支払いをこのカードに請求することに同意したことになります。',
  offline: '決済に接続できません。接続を確認して、もう一度お試しください。',
  authenticate: 'カード会社による本人確認',
  not_authenticated: 'お支払い方法を認証できませんでした。別のお支払い方法でもう一度お試しください。',
  close: '閉じる',
  name: '氏名',
  line1: '住所1',
  line2: '住所2',
  city: '市区町村',
  state: '都道府県',
  incomplete_field: 'この項目は入力途中です。',
  incomplete_number: 'カード番号が不完全です。',
  invalid_number: 'カード番号が無効です。',
  incomplete_expiry: 'カードの有効期限が不完全です。',
  invalid_expiry_month_past: 'カードの有効期限が過ぎています。',
  invalid_expiry_year_past: 'カードの有効期限の年が過ぎています。',
  invalid_expiry_year: 'カードの有効期限の年が無効です。',
  incomplete_cvc: 'カードのセキュリティコードが不完全です。',
  incomplete_zip: '郵便番号が不完全です。',
};

const it: Catalogue = {
  number: 'Numero della carta',
  expiry: 'Data di scadenza',
  expiry_placeholder: 'MM / AA',
  cvc: 'Codice di sicurezza',
  zip: 'CAP',
  country: 'Paese o regione',
  frame: 'Riquadro sicuro per i dati della carta',
  card: 'Carta',
  another_card: "Un'altra carta",
  remove: 'Rimuovi',
  really_remove: 'Rimuovere davvero?',
  save_card: 'Salva questa carta per acquisti futuri',
  terms: 'Fornendo i dati della sua carta, consente a {business} di addebitarla per pagamenti futuri secondo le sue condizioni.',
  offline: 'Il pagamento non è raggiungibile. Controlli la connessione e riprovi.',
  authenticate: 'La sua banca vuole sapere che è lei',
  not_authenticated: 'Non è possibile autenticare il metodo di pagamento. Ne scelga un altro e riprovi.',
  close: 'Chiudi',
  name: 'Nome e cognome',
  line1: 'Indirizzo, riga 1',
  line2: 'Indirizzo, riga 2',
  city: 'Città',
  state: 'Stato o provincia',
  incomplete_field: 'Questo campo è incompleto.',
  incomplete_number: 'Il numero della carta è incompleto.',
  invalid_number: 'Il numero della carta non è valido.',
  incomplete_expiry: 'La data di scadenza della carta è incompleta.',
  invalid_expiry_month_past: 'La data di scadenza della carta è passata.',
  invalid_expiry_year_past: "L'anno di scadenza della carta è passato.",
  invalid_expiry_year: "L'anno di scadenza della carta non è valido.",
  incomplete_cvc: 'Il codice di sicurezza della carta è incompleto.',
  incomplete_zip: 'Il CAP è incompleto.',
};

const nl: Catalogue = {
  number: 'Kaartnummer',
  expiry: 'Vervaldatum',
  expiry_placeholder: 'MM / JJ',
  cvc: 'Beveiligingscode',
  zip: 'Postcode',
  country: 'Land of regio',
  frame: 'Beveiligd invoervak voor kaartbetalingen',
  card: 'Kaart',
  another_card: 'Een andere kaart',
  remove: 'Verwijderen',
  really_remove: 'Echt verwijderen?',
  save_card: 'Deze kaart bewaren voor toekomstige aankopen',
  terms: 'Door uw kaartgegevens op te geven, staat u {business} toe uw kaart te belasten voor toekomstige betalingen volgens hun voorwaarden.',
  offline: 'De betaling is niet bereikbaar. Controleer uw verbinding en probeer het opnieuw.',
  authenticate: 'Uw bank wil weten dat u het bent',
  not_authenticated: 'Uw betaalmethode kon niet worden geauthenticeerd. Kies een andere en probeer het opnieuw.',
  close: 'Sluiten',
  name: 'Volledige naam',
  line1: 'Adresregel 1',
  line2: 'Adresregel 2',
  city: 'Plaats',
  state: 'Staat of provincie',
  incomplete_field: 'Dit veld is onvolledig.',
  incomplete_number: 'Uw kaartnummer is onvolledig.',
  invalid_number: 'Uw kaartnummer is ongeldig.',
  incomplete_expiry: 'De vervaldatum van uw kaart is onvolledig.',
  invalid_expiry_month_past: 'De vervaldatum van uw kaart is verstreken.',
  invalid_expiry_year_past: 'Het vervaljaar van uw kaart is verstreken.',
  invalid_expiry_year: 'Het vervaljaar van uw kaart is ongeldig.',
  incomplete_cvc: 'De beveiligingscode van uw kaart is onvolledig.',
  incomplete_zip: 'Uw postcode is onvolledig.',
};

const pt: Catalogue = {
  number: 'Número do cartão',
  expiry: 'Data de validade',
  expiry_placeholder: 'MM / AA',
  cvc: 'Código de segurança',
  zip: 'Código postal',
  country: 'País ou região',
  frame: 'Quadro seguro para os dados do cartão',
  card: 'Cartão',
  another_card: 'Outro cartão',
  remove: 'Remover',
  really_remove: 'Remover mesmo?',
  save_card: 'Salvar este cartão para compras futuras',
  terms: 'Ao fornecer os dados do seu cartão, você permite que {business} o cobre por pagamentos futuros de acordo com os respectivos termos.',
  offline: 'Não foi possível acessar o pagamento. Verifique a conexão e tente novamente.',
  authenticate: 'Seu banco quer saber se é você',
  not_authenticated: 'Não foi possível autenticar sua forma de pagamento. Escolha outra e tente novamente.',
  close: 'Fechar',
  name: 'Nome completo',
  line1: 'Endereço, linha 1',
  line2: 'Endereço, linha 2',
  city: 'Cidade',
  state: 'Estado ou província',
  incomplete_field: 'Este campo está incompleto.',
  incomplete_number: 'O número do cartão está incompleto.',
  invalid_number: 'O número do cartão é inválido.',
  incomplete_expiry: 'A data de validade do cartão está incompleta.',
  invalid_expiry_month_past: 'A data de validade do cartão já passou.',
  invalid_expiry_year_past: 'O ano de validade do cartão já passou.',
  invalid_expiry_year: 'O ano de validade do cartão é inválido.',
  incomplete_cvc: 'O código de segurança do cartão está incompleto.',
  incomplete_zip: 'O código postal está incompleto.',
};

const CATALOGUES: Record<string, Catalogue> = { en, de, fr, es, ja, it, nl, pt };

export const LANGUAGES: readonly string[] = Object.keys(CATALOGUES);

/** English, where a language isn't among them. `auto` is the browser's. */
export function languageOf(locale: unknown, browser: readonly string[]): string {
  const wanted = typeof locale === 'string' && locale !== 'auto' ? [locale] : browser;
  const known = wanted.map((each) => each.slice(0, 2).toLowerCase()).find((each) => LANGUAGES.includes(each));
  return known ?? 'en';
}

export const wordsIn = (language: string): Catalogue => CATALOGUES[language] ?? en;
